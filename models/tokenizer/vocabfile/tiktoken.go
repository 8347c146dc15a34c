package vocabfile

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
)

// Ranked is a token of a tiktoken file: its bytes, and its rank, which is its id.
type Ranked struct {
	// Bytes are what the token stands for.
	Bytes string
	// Rank is the order of merging and the id.
	Rank int64
}

// ReadTiktoken reads lines of a token in base64, a space and its rank.
func ReadTiktoken(data []byte) ([]Ranked, error) {
	var all []Ranked
	content := make([]byte, 0, 256)
	for number := 1; len(data) > 0; number++ {
		var line []byte
		line, data, _ = bytes.Cut(data, []byte("\n"))
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		token, rank, found := bytes.Cut(line, []byte(" "))
		if !found {
			return nil, fmt.Errorf("not a tiktoken file: line %d is %.40q, not a token in base64, a space and a rank", number, line)
		}
		content, err := base64.StdEncoding.AppendDecode(content[:0], token)
		if err != nil || len(content) == 0 {
			return nil, fmt.Errorf("not a tiktoken file: line %d: token %.40q is not base64", number, token)
		}
		n, err := strconv.ParseInt(string(rank), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("not a tiktoken file: line %d: rank %.40q is no number", number, rank)
		}
		all = append(all, Ranked{string(content), n})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("not a tiktoken file: it has no tokens")
	}
	return all, nil
}

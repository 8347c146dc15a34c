package sugarme

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/sugarme/tokenizer"
	"github.com/sugarme/tokenizer/pretrained"

	own "github.com/profuser/profuser/models/tokenizer"
)

// Tokenizer is a tokenizer.json loaded by the library.
type Tokenizer struct {
	inner *tokenizer.Tokenizer
	own   *own.Tokenizer // our engine, if it is the library's model
}

// Parse loads the bytes of a tokenizer.json: by the library's own means if its kind is one that the library gets right,
// else with our engine as the library's model, so that the results are always the reference's.
func Parse(data []byte) (*Tokenizer, error) {
	kind, err := kindOf(data)
	if err != nil {
		return nil, fmt.Errorf("loading tokenizer by sugarme: %w", err)
	}
	if slices.Contains(right, kind) {
		return ParseAny(data)
	}
	engine, err := own.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("loading tokenizer by sugarme: %w", err)
	}
	return Over(engine), nil
}

// Inner is the library's object, for code that is written for it. Its EncodeBatch and DecodeBatch are not to be relied on.
func (t *Tokenizer) Inner() *tokenizer.Tokenizer { return t.inner }

// ParseAny loads by the library's own means whatever it can load, right or not.
func ParseAny(data []byte) (*Tokenizer, error) {
	t := &Tokenizer{}
	err := guard(func() (err error) {
		t.inner, err = pretrained.FromReader(bytes.NewReader(data))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("loading tokenizer by sugarme: %w", err)
	}
	return t, nil
}

// Encode gives the ids of a text without those that the post-processor adds.
func (t *Tokenizer) Encode(text string) (ids []int32, err error) {
	err = guard(func() error {
		encoding, err := t.inner.EncodeSingle(text, false)
		if err != nil {
			return err
		}
		ids = make([]int32, len(encoding.Ids))
		for i, id := range encoding.Ids {
			ids[i] = int32(id)
		}
		return nil
	})
	if err != nil && t.own != nil && len(t.own.Encode(text)) == 0 {
		return []int32{}, nil // the library panics on a text without any token
	}
	if err != nil {
		return nil, fmt.Errorf("encoding by sugarme: %w", err)
	}
	return ids, nil
}

// Decode gives the text of ids.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) (text string, err error) {
	err = guard(func() error {
		list := make([]int, 0, len(ids))
		for _, id := range ids {
			if t.own == nil || !skipSpecial || !t.own.Special(id) {
				list = append(list, int(id))
			}
		}
		text = t.inner.Decode(list, skipSpecial)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("decoding by sugarme: %w", err)
	}
	return text, nil
}

// guard makes errors of the library's panics, and of its log.Fatal, which ends the call's goroutine instead of the
// process.
func guard(call func() error) error {
	catchFatal()
	err := errors.New("the library called log.Fatal")
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if cause := recover(); cause != nil {
				err = fmt.Errorf("the library panicked: %v", cause)
			}
		}()
		err = call()
	}()
	<-done
	return err
}

// catchFatal puts a writer under package log that stops a goroutine in which the library calls log.Fatal.
var catchFatal = sync.OnceFunc(func() { log.SetOutput(fatalWriter{log.Writer()}) })

type fatalWriter struct{ next io.Writer }

// Write passes everything on that is not the library's last word: that ends the goroutine, so os.Exit is not reached.
func (w fatalWriter) Write(p []byte) (int, error) {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	fatal := false
	for {
		frame, more := frames.Next()
		if strings.HasPrefix(frame.Function, "log.Fatal") {
			fatal = true
		}
		if fatal && strings.HasPrefix(frame.Function, "github.com/sugarme/") {
			runtime.Goexit()
		}
		if !more {
			return w.next.Write(p)
		}
	}
}

// right are the kinds whose results were found equal to the reference's on every string of our golden files. There are
// none with v0.3.0; a test says when that changes.
var right []string

// kindOf names the kind of a tokenizer.json by its components, such as "WordPiece, BertNormalizer, BertPreTokenizer".
func kindOf(data []byte) (string, error) {
	type component struct {
		Type string `json:"type"`
	}
	var file struct {
		Model        component  `json:"model"`
		Normalizer   *component `json:"normalizer"`
		PreTokenizer *component `json:"pre_tokenizer"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return "", fmt.Errorf("not a tokenizer.json: %w", err)
	}
	kind := file.Model.Type
	for _, c := range []*component{file.Normalizer, file.PreTokenizer} {
		if c != nil {
			kind += ", " + c.Type
		}
	}
	return kind, nil
}

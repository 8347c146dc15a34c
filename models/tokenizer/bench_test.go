package tokenizer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// benchmarkText is the English of the golden rows, in pieces of about 4 kB.
func benchmarkText(b *testing.B) []string {
	b.Helper()
	data := gunzip(b, filepath.Join(sharedFolder(b), "golden", "gpt2.jsonl.gz"))
	var pieces []string
	var piece strings.Builder
	for _, row := range parseGolden(b, data) {
		piece.WriteString(row.Text)
		if piece.Len() > 4096 {
			pieces = append(pieces, piece.String())
			piece.Reset()
		}
	}
	return pieces
}

func BenchmarkEncode(b *testing.B) {
	for _, name := range realNames {
		tok, pieces := loadReal(b, name), benchmarkText(b)
		for kind, encode := range map[string]func(string){
			"ids":     func(s string) { tok.Encode(s) },
			"spans":   func(s string) { tok.EncodeSpans(s) },
			"midtext": func(s string) { tok.EncodeMidText([]byte(s)) },
		} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				size := 0
				for i := 0; b.Loop(); i++ {
					piece := pieces[i%len(pieces)]
					encode(piece)
					size += len(piece)
				}
				b.SetBytes(int64(size / b.N))
			})
		}
	}
}

// BenchmarkEncodeToken encodes one short byte string, as alignment does for every candidate.
func BenchmarkEncodeToken(b *testing.B) {
	for _, name := range realNames {
		tok := loadReal(b, name)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tok.EncodeMidText([]byte(" refraction"))
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range realNames {
		tok := loadReal(b, name)
		text := strings.Join(benchmarkText(b)[:4], "")
		ids := tok.Encode(text)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				tok.Decode(ids, true)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for _, name := range realNames {
		dir := filepath.Join(b.TempDir(), FileName)
		if err := os.WriteFile(dir, gunzip(b, filepath.Join(sharedFolder(b), name+".json.gz")), 0o600); err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Load(dir); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

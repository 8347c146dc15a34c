package stream

import (
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/profuser/profuser/models/safetensors"
	"github.com/profuser/profuser/trainer/merge/recipe"
)

// FuzzWeights: whatever stands in a weights file, planning and merging end in an error or a result, never in a panic. The
// input is a header; data follow as long as it says.
func FuzzWeights(f *testing.F) {
	for _, header := range []string{
		`{"model.layers.0.w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}`,
		`{"model.embed_tokens.weight":{"dtype":"BF16","shape":[3,2],"data_offsets":[0,12]},"lm_head.weight":{"dtype":"F16","shape":[3,2],"data_offsets":[12,24]}}`,
		`{"model.layers.99999999.w":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`,
		`{"a":{"dtype":"F32","shape":[0,1099511627776],"data_offsets":[0,0]},"b":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}}`,
		`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F64","shape":[1],"data_offsets":[4,12]}}`,
		`{"embed":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"wte":{"dtype":"F32","shape":[],"data_offsets":[4,8]}}`,
		`{`, `{}`,
	} {
		f.Add([]byte(header), uint8(0), uint16(16))
		f.Add([]byte(header), uint8(3), uint16(24))
	}
	methods := []string{"linear", "ties", "della", "nuslerp", "model_stock", "sce"}
	f.Fuzz(func(t *testing.T, header []byte, method uint8, size uint16) {
		dir := t.TempDir()
		file := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
		file = append(file, make([]byte, size)...)
		for _, name := range []string{"base", "a", "b"} {
			at := filepath.Join(dir, name)
			if err := os.Mkdir(at, 0o755); err != nil {
				t.Fatal(err)
			}
			for file, b := range map[string][]byte{"config.json": []byte(`{"tie_word_embeddings":true}`), "model.safetensors": file} {
				if err := os.WriteFile(filepath.Join(at, file), b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		r, err := recipe.Parse([]byte("merge_method: " + methods[int(method)%len(methods)] + `
base_model: base
models: [{model: base}, {model: a}, {model: b}]
parameters: {weight: 1, density: 0.5, nuslerp_flatten: false, filter_wise: true}
`))
		if err != nil {
			t.Fatal(err)
		}
		p, err := makePlan(r, dir)
		if err != nil {
			return
		}
		defer p.close()
		w, err := write(t.Context(), p, Options{Threads: 2, Chunk: 1, Log: io.Discard}, dir, safetensors.Split(p.outlines(), 100))
		if err != nil {
			return
		}
		if _, err := p.config(); err != nil {
			t.Error(err)
		}
		if err := w.weights.Abort(); err != nil { // Commit would wait for the disk
			t.Error(err)
		}
	})
}

// TestCut: a weights file that is cut anywhere is an error before anything is written.
func TestCut(t *testing.T) {
	dir := t.TempDir()
	pair(t, dir)
	r, err := recipe.Parse([]byte(arithmetic))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "other", "model.safetensors")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := len(whole); n >= 0; n-- {
		if err := os.Truncate(path, int64(n)); err != nil {
			t.Fatal(err)
		}
		p, err := makePlan(r, dir)
		if (err == nil) != (n == len(whole)) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(whole), err)
		}
		if p != nil {
			p.close()
		}
	}
}

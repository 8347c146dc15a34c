package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/profuser/profuser/models/decoder"
)

// fixedBatch is batch.json: a micro-batch as trainer/fusing makes them, every position of which predicts something.
type fixedBatch struct {
	Rows          int       `json:"rows"`
	Length        int       `json:"length"`
	Tokens        []int32   `json:"tokens"`         // [rows, length]
	Index         []int32   `json:"index"`          // [A] places in tokens
	Gold          []int32   `json:"gold"`           // [A]
	GoldWeight    []float32 `json:"gold_weight"`    // [A]
	TeacherWeight []float32 `json:"teacher_weight"` // [A]
	IDs           []int32   `json:"ids"`            // [A, k]
	Probs         []float32 `json:"probs"`          // [A, k]
	Rest          []float32 `json:"rest"`           // [A]

	applied float64 // processor seconds in the optimizer
}

// topK is the number of tokens that a teacher's distribution stores.
const topK = 10

// taught is the share of positions with a teacher, and beta its weight.
const beta = 0.1

// writeFolder makes random weights for a configuration, and a batch of random tokens, both from one seed.
func writeFolder(dir, config string, rows, length int) error {
	c, err := decoder.ReadConfig(config)
	if err != nil {
		return err
	}
	store, err := decoder.InitStore(c, 1)
	if err != nil {
		return err
	}
	if err := decoder.SaveStore(store, c, dir, "float32"); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 2))
	a := rows * length
	b := fixedBatch{Rows: rows, Length: length}
	for i := range a {
		b.Tokens = append(b.Tokens, random.Int32N(int32(c.Vocab)))
		b.Index = append(b.Index, int32(i))
		b.Gold = append(b.Gold, random.Int32N(int32(c.Vocab)))
		b.GoldWeight = append(b.GoldWeight, 1/float32(a))
		b.TeacherWeight = append(b.TeacherWeight, beta/float32(a))
		rest := float32(1)
		first := random.Int32N(int32(c.Vocab))
		for j := range topK {
			p := rest * (0.3 + 0.3*random.Float32())
			rest -= p
			b.IDs = append(b.IDs, (first+int32(j*j))%int32(c.Vocab))
			b.Probs = append(b.Probs, p)
		}
		b.Rest = append(b.Rest, rest)
	}
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "batch.json"), text, 0o644)
}

// readBatch reads batch.json.
func readBatch(dir string) (*fixedBatch, error) {
	path := filepath.Join(dir, "batch.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the batch (-make writes one): %w", err)
	}
	b := &fixedBatch{}
	if err := json.Unmarshal(text, b); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if len(b.Tokens) != b.Rows*b.Length || len(b.Gold) == 0 || len(b.IDs) != topK*len(b.Gold) {
		return nil, fmt.Errorf("reading %s: %d tokens in %d rows of %d, %d gold tokens, %d stored ids", path, len(b.Tokens), b.Rows, b.Length, len(b.Gold), len(b.IDs))
	}
	return b, nil
}

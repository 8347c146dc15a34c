package fusing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/profuser/profuser/trainer/loop"
)

// stepLine is what metrics.jsonl says of a step. Losses are in nats; a mode without examples in the batch has none.
type stepLine struct {
	Step  int    `json:"step"`
	Epoch int    `json:"epoch"`
	Stage string `json:"stage"`
	// Loss is w_I·LossInference + w_T·LossTraining = SFT + β·KL, or λ·SFT + (1-λ)·KL.
	Loss          *float64 `json:"loss"`
	LossInference *float64 `json:"loss_inference"`
	LossTraining  *float64 `json:"loss_training"`
	SFT           *float64 `json:"sft"`
	KL            *float64 `json:"kl"`
	LearningRate  float64  `json:"learning_rate"`
	GradNorm      *float64 `json:"grad_norm"`
	Tokens        int      `json:"tokens"`
	// Seconds is the time that the step took.
	Seconds float64 `json:"seconds"`
	// Bad lists the prompts of a batch whose loss or gradient was not finite; the step was not applied.
	Bad []string `json:"bad,omitempty"`
}

// heldOutLine is what it says at the end of an epoch, of a stage, and before the first step.
type heldOutLine struct {
	Step  int    `json:"step"`
	Epoch int    `json:"epoch"`
	Stage string `json:"stage"`
	// End is start, epoch or stage.
	End string `json:"end"`
	// HeldOut are the losses on the held-out prompts by mode, weights 1.
	HeldOut map[string]heldOutLoss `json:"held_out"`
}

// decisionLine is what it says when an adaptive stage may move its weights.
type decisionLine struct {
	Step     int      `json:"step"`
	Epoch    int      `json:"epoch"`
	Stage    string   `json:"stage"`
	Decision decision `json:"decision"`
}

// decision holds the weights from the next step on, and what they follow from (curriculum.Shift).
type decision struct {
	Shift     float64 `json:"shift"`
	Inference float64 `json:"weight_inference"`
	Training  float64 `json:"weight_training"`
	// Improvement is the relative fall of the held-out inference-mode loss below the best before; null at the first decision.
	Improvement *float64               `json:"improvement"`
	HeldOut     map[string]heldOutLoss `json:"held_out"`
}

// heldOutLoss is a mode's loss on the held-out prompts.
type heldOutLoss struct {
	Loss     float64 `json:"loss"`
	SFT      float64 `json:"sft"`
	KL       float64 `json:"kl"`
	Examples int     `json:"examples"`
}

// journal is metrics.jsonl.
type journal struct{ f *os.File }

// openJournal opens the file to go on after a step: lines of later steps, and a last one cut short, go.
func openJournal(path string, step int) (*journal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("opening metrics: %w", err)
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening metrics: %w", err)
	}
	var keep []byte
	for line := range bytes.Lines(old) {
		var l struct {
			Step *int `json:"step"`
		}
		if json.Unmarshal(line, &l) != nil || l.Step == nil || *l.Step > step || line[len(line)-1] != '\n' {
			break
		}
		if step == 0 {
			break // nothing is done: the line before the first step comes again
		}
		keep = append(keep, line...)
	}
	tmp := path + ".tmp"
	if err := loop.WriteSynced(tmp, keep); err != nil {
		return nil, fmt.Errorf("opening metrics: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return nil, fmt.Errorf("opening metrics: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening metrics: %w", err)
	}
	return &journal{f}, nil
}

// write appends one line.
func (j *journal) write(line any) error {
	b, err := json.Marshal(line)
	if err != nil {
		return fmt.Errorf("writing metrics: %w", err)
	}
	if _, err := j.f.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("writing metrics: %w", err)
	}
	return nil
}

func (j *journal) close() error { return j.f.Close() }

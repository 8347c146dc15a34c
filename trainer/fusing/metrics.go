package fusing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/profuser/profuser/trainer/board"
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
	// Seconds is the time that the step took, Wait how much of it passed until its data were there.
	Seconds float64 `json:"seconds"`
	Wait    float64 `json:"wait"`
	// Utilisation is the share of the processor's peak that the model's own arithmetic took; 0 where no peak is known.
	Utilisation float64 `json:"utilisation,omitempty"`
	// Bad lists the prompts of a batch whose loss or gradient was not finite; the step was not applied.
	Bad []string `json:"bad,omitempty"`
}

// heldOutLine is what it says at the end of an epoch, of a stage, before the first step, and each evaluate_steps.
type heldOutLine struct {
	Step  int    `json:"step"`
	Epoch int    `json:"epoch"`
	Stage string `json:"stage"`
	// End is start, step, epoch or stage.
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

// journal is metrics.jsonl or samples.jsonl; what has scalars goes to TensorBoard too.
type journal struct {
	f     *os.File
	board *board.Writer // nil: none
}

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
	return &journal{f: f}, nil
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
	if l, ok := line.(scalars); ok && j.board != nil {
		step, all := l.scalars()
		return j.board.Scalars(step, all...)
	}
	return nil
}

func (j *journal) close() error {
	var err error
	if j.board != nil {
		err = j.board.Close()
	}
	return errors.Join(err, j.f.Close())
}

// scalars is a line with numbers for TensorBoard.
type scalars interface {
	scalars() (step int, all []board.Scalar)
}

func (l stepLine) scalars() (int, []board.Scalar) {
	number := func(x *float64) float64 {
		if x == nil {
			return math.NaN()
		}
		return *x
	}
	return l.Step, []board.Scalar{
		{Tag: "loss/batch", Value: number(l.Loss)},
		{Tag: "loss/inference", Value: number(l.LossInference)},
		{Tag: "loss/training", Value: number(l.LossTraining)},
		{Tag: "loss/sft", Value: number(l.SFT)},
		{Tag: "loss/kl", Value: number(l.KL)},
		{Tag: "optimizer/learning_rate", Value: l.LearningRate},
		{Tag: "optimizer/grad_norm", Value: number(l.GradNorm)},
		{Tag: "speed/tokens_per_second", Value: float64(l.Tokens) / l.Seconds},
		{Tag: "speed/wait_share", Value: l.Wait / l.Seconds},
		{Tag: "speed/utilisation", Value: l.Utilisation},
	}
}

func (l heldOutLine) scalars() (int, []board.Scalar) {
	var all []board.Scalar
	for _, name := range modeNames {
		if of, ok := l.HeldOut[name]; ok {
			all = append(all, board.Scalar{Tag: "held_out/" + name, Value: of.Loss}, board.Scalar{Tag: "held_out/" + name + "_sft", Value: of.SFT}, board.Scalar{Tag: "held_out/" + name + "_kl", Value: of.KL})
		}
	}
	return l.Step, all
}

// seconds is a duration for the metrics, to a tenth of a millisecond.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1e4) / 1e4 }

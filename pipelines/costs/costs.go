package costs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Record is what a step cost, kept in out/steps/<step>.json.
type Record struct {
	// Step is the step's name.
	Step string `json:"step"`
	// Seconds adds up the runs that did work.
	Seconds float64 `json:"seconds"`
	// PeakBytes is the largest resident memory of the process during the step.
	PeakBytes int64 `json:"peak_bytes"`
	// Rows counts the rows read.
	Rows int `json:"rows"`
	// Started is when the last run that did work began, RFC 3339.
	Started string `json:"started"`
}

// Recording is a step's run that is going on.
type Recording struct {
	began time.Time
	Record
}

// Begin starts the clock and forgets the memory peak of earlier steps where the system allows it.
func Begin(step string) *Recording {
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // else the peak is that of the whole process
	now := time.Now()
	return &Recording{began: now, Record: Record{Step: step, Started: now.UTC().Format(time.RFC3339)}}
}

// End adds this run, which read so many rows, to the step's record in a folder.
func (r *Recording) End(folder string, rows int) error {
	path := filepath.Join(folder, r.Step+".json")
	var before Record
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &before)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	r.Seconds = before.Seconds + time.Since(r.began).Seconds()
	r.PeakBytes = max(before.PeakBytes, peakBytes())
	r.Rows = before.Rows + rows
	if b, err = json.MarshalIndent(r.Record, "", "  "); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.WriteFile(path+".tmp", append(b, '\n'), 0o666); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.Rename(path+".tmp", path)
}

// peakBytes is VmHWM, 0 where the system does not tell.
func peakBytes() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, ok := bytes.Cut(b, []byte("VmHWM:"))
	fields := bytes.Fields(rest)
	if !ok || len(fields) == 0 {
		return 0
	}
	kb, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return 0
	}
	return kb << 10
}

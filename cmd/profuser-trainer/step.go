package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// step is out/steps/<step>.json: what a step cost when it last did work.
type step struct {
	Step string `json:"step"`
	// Seconds is the time spent, interrupted runs included.
	Seconds float64 `json:"seconds"`
	// PeakBytes is the largest resident memory of this process.
	PeakBytes int64 `json:"peak_bytes"`
	// Rows is the number of rows read.
	Rows int `json:"rows"`
	// Started is when the last run began, UTC, RFC 3339.
	Started string `json:"started"`
}

// writeStep writes a step file under a temporary name and renames it.
func writeStep(path string, s step) error {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err == nil {
		s.PeakBytes = usage.Maxrss
		if runtime.GOOS != "darwin" {
			s.PeakBytes *= 1024 // Linux counts kilobytes
		}
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o755)
	}
	if err == nil {
		err = os.WriteFile(path+".tmp", append(b, '\n'), 0o644)
	}
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

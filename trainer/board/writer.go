package board

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"
)

// Writer writes one event file. It is not safe for concurrent use.
type Writer struct {
	f   *os.File
	now func() time.Time
}

// Scalar is a named number. Names with a slash are grouped by what stands before it.
type Scalar struct {
	// Tag is the name.
	Tag string
	// Value is the number; one that is not finite is left out.
	Value float64
}

// Open makes a new event file in a folder. done is the number of steps that an earlier run of the program did: what
// earlier files say of later ones no longer holds.
func Open(dir string, done int) (*Writer, error) { return open(dir, done, time.Now) }

func open(dir string, done int, now func() time.Time) (*Writer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("opening TensorBoard events: %w", err)
	}
	// Readers take files in the order of their names: the time first, then a number among those of one second.
	var f *os.File
	var err error
	for i := 0; ; i++ {
		name := filepath.Join(dir, fmt.Sprintf("events.out.tfevents.%010d.profuser.%03d", now().Unix(), i))
		if f, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o644); err == nil || !os.IsExist(err) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening TensorBoard events: %w", err)
	}
	w := &Writer{f, now}
	version := message{}.double(eventWallTime, w.time()).bytes(eventFileVersion, []byte("brain.Event:2"))
	start := event(w.time(), done+1).bytes(eventSessionLog, message{}.varint(sessionStatus, sessionStart))
	return w, w.write(version, start)
}

// Scalars writes numbers of a step.
func (w *Writer) Scalars(step int, all ...Scalar) error {
	var summary message
	for _, s := range all {
		if !math.IsNaN(s.Value) && !math.IsInf(s.Value, 0) {
			summary = summary.bytes(summaryValue, scalar(s.Tag, s.Value))
		}
	}
	if len(summary) == 0 {
		return nil
	}
	return w.write(event(w.time(), step).bytes(eventSummary, summary))
}

// Text writes a text of a step; TensorBoard reads it as Markdown.
func (w *Writer) Text(step int, tag, v string) error {
	return w.write(event(w.time(), step).bytes(eventSummary, message{}.bytes(summaryValue, text(tag, v))))
}

// time is now in seconds.
func (w *Writer) time() float64 { return float64(w.now().UnixMicro()) / 1e6 }

// write appends events in one go, so that a reader that follows the file rarely sees half of one.
func (w *Writer) write(events ...message) error {
	var out []byte
	for _, e := range events {
		out = appendRecord(out, e)
	}
	if _, err := w.f.Write(out); err != nil {
		return fmt.Errorf("writing TensorBoard events: %w", err)
	}
	return nil
}

// Close ends the file.
func (w *Writer) Close() error {
	if err := w.f.Close(); err != nil {
		return fmt.Errorf("writing TensorBoard events: %w", err)
	}
	return nil
}

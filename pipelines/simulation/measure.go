package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// usage is what a step took.
type usage struct {
	wall, processor time.Duration
	// resident memory after a quarter, half and three quarters of the time; peak of all, and of anonymous memory, which is what
	// the step itself has allocated; all in MiB.
	resident        [3]float64
	peak, anonymous float64
}

// memory is one reading, in MiB.
type memory struct {
	at                        time.Duration
	resident, peak, anonymous float64
}

// measure runs one command of the program and looks at its memory ten times a second (Linux).
func measure(ctx context.Context, program, step, file string) (usage, error) {
	var output bytes.Buffer
	p := exec.CommandContext(ctx, program, step, file)
	p.Stdout, p.Stderr = &output, &output
	start := time.Now()
	if err := p.Start(); err != nil {
		return usage{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Wait() }()
	var readings []memory
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				return usage{}, fmt.Errorf("%w: %s", err, strings.TrimSpace(output.String()))
			}
			u := usage{wall: time.Since(start), processor: p.ProcessState.UserTime() + p.ProcessState.SystemTime()}
			u.read(readings)
			_, err = os.Stderr.Write(output.Bytes()) // rows and rejects
			return u, err
		case <-tick.C:
			if m, ok := look(p.Process.Pid); ok {
				m.at = time.Since(start)
				readings = append(readings, m)
			}
		}
	}
}

// read takes readings over.
func (u *usage) read(readings []memory) {
	for _, m := range readings {
		for i := range u.resident {
			if m.at <= u.wall*time.Duration(i+1)/4 {
				u.resident[i] = m.resident
			}
		}
		u.peak, u.anonymous = max(u.peak, m.peak), max(u.anonymous, m.anonymous)
	}
}

// field finds sizes in /proc/PID/status.
var field = regexp.MustCompile(`(?m)^(VmHWM|VmRSS|RssAnon):\s+(\d+) kB`)

// look reads the memory of a process; false when it is gone.
func look(pid int) (m memory, ok bool) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, false
	}
	for _, f := range field.FindAllStringSubmatch(string(status), -1) {
		kb, err := strconv.ParseFloat(f[2], 64)
		if err != nil {
			return m, false
		}
		*map[string]*float64{"VmHWM": &m.peak, "VmRSS": &m.resident, "RssAnon": &m.anonymous}[f[1]] = kb / 1024
		ok = true
	}
	return m, ok
}

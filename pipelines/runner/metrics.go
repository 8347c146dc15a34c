package runner

import (
	"context"
	"encoding/binary"
	"fmt"
	"reflect"
	"time"

	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
)

// Metrics is what a job has counted so far, over all its transforms. Keys are "namespace/name".
type Metrics struct {
	// Job is the job's id on the runner.
	Job string
	// Counters are sums. While the job runs they may lag, and a runner may report none (Python's local one).
	Counters map[string]int64
	// Distributions are the runs of recorded values.
	Distributions map[string]Distribution
}

// Distribution sums up recorded values.
type Distribution struct {
	// Count, Sum, Min and Max of the values.
	Count, Sum, Min, Max int64
}

func (d Distribution) with(other Distribution) Distribution {
	if d.Count == 0 {
		return other
	} else if other.Count == 0 {
		return d
	}
	return Distribution{d.Count + other.Count, d.Sum + other.Sum, min(d.Min, other.Min), max(d.Max, other.Max)}
}

// Type URNs of the two kinds of user metrics.
const (
	sumType          = "beam:metrics:sum_int64:v1"
	distributionType = "beam:metrics:distribution_int64:v1"
)

// metricsOf reads a job server's report. Of attempted and committed values the larger count: runners fill in the one or
// the other, and attempted ones lag.
func metricsOf(job string, attempted, committed []*pipepb.MonitoringInfo) Metrics {
	m, other := newMetrics(job), newMetrics(job)
	m.add(attempted)
	other.add(committed)
	for key, n := range other.Counters {
		m.Counters[key] = max(m.Counters[key], n)
	}
	for key, d := range other.Distributions {
		if d.Count >= m.Distributions[key].Count {
			m.Distributions[key] = d
		}
	}
	return m
}

func newMetrics(job string) Metrics {
	return Metrics{Job: job, Counters: map[string]int64{}, Distributions: map[string]Distribution{}}
}

func (m Metrics) add(infos []*pipepb.MonitoringInfo) {
	for _, info := range infos {
		name := info.GetLabels()["NAME"]
		if name == "" {
			continue // the runner's own
		}
		key := info.GetLabels()["NAMESPACE"] + "/" + name
		switch values := varints(info.GetPayload()); {
		case info.GetType() == sumType && len(values) == 1:
			m.Counters[key] += values[0]
		case info.GetType() == distributionType && len(values) == 4:
			m.Distributions[key] = m.Distributions[key].with(Distribution{values[0], values[1], values[2], values[3]})
		}
	}
}

// varints reads numbers in Beam's varint coder: base 128, two's complement.
func varints(data []byte) []int64 {
	var out []int64
	for len(data) > 0 {
		n, size := binary.Uvarint(data)
		if size <= 0 {
			return nil
		}
		out, data = append(out, int64(n)), data[size:]
	}
	return out
}

// followed waits for a job's end; meanwhile it hands the job's counts to Progress, and once more at the end. A job whose
// counts have stood still for Stall is cancelled, as wait does when its context ends, and has failed: some runners wait
// for ever for a worker that was killed.
func (r *Runner) followed(ctx context.Context, j Job, get func() (Metrics, error), wait func(context.Context) error) error {
	waiting, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(j.Poll)
		defer tick.Stop()
		var last Metrics
		moved := time.Now()
		for ended := false; !ended; {
			select {
			case <-done:
				ended = true
			case <-tick.C:
			}
			m, err := get()
			if err == nil && j.Progress != nil { // counts that cannot be had are no reason to stop
				j.Progress(m)
			}
			if err == nil && !reflect.DeepEqual(m, last) {
				last, moved = m, time.Now()
			}
			if r.options.Stall > 0 && time.Since(moved) > r.options.Stall {
				cancel(jobError(j.Name, fmt.Errorf("no count of job %s has moved for %v (runner.stall): the runner may have lost a worker", last.Job, r.options.Stall)))
			}
		}
	}()
	err := wait(waiting)
	close(done)
	<-stopped
	return err
}

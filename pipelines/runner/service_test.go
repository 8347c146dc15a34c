package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	df "google.golang.org/api/dataflow/v1b3"
	"google.golang.org/api/option"
)

// TestDataflowJob follows jobs on a server that answers as Dataflow does: to their end, to a fault, to a cancellation.
func TestDataflowJob(t *testing.T) {
	var mu sync.Mutex
	var states []string // the last one stays
	var asked df.Job
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case strings.HasSuffix(r.URL.Path, "/messages"):
			fmt.Fprint(w, `{"jobMessages":[{"messageText":"Workflow failed."},{"messageText":"DoFn failed:\n⟪profuser: generate part 3: no luck⟫ (worker w-1)"}]}`)
		case strings.HasSuffix(r.URL.Path, "/metrics"):
			fmt.Fprint(w, `{"metrics":[{"name":{"name":"rows","context":{"namespace":"profuser","step":"e4"}},"scalar":7},
				{"name":{"name":"rows","context":{"namespace":"profuser","step":"e4","tentative":"true"}},"scalar":9},{"name":{"name":"TotalVcpuTime","context":{}},"scalar":1}]}`)
		case r.Method == http.MethodPut:
			_ = json.NewDecoder(r.Body).Decode(&asked)
			fmt.Fprint(w, "{}")
		default:
			fmt.Fprintf(w, `{"currentState":%q}`, states[0])
			states = states[min(1, len(states)-1):]
		}
	}))
	defer server.Close()
	service, err := df.NewService(t.Context(), option.WithEndpoint(server.URL), option.WithHTTPClient(server.Client()))
	if err != nil {
		t.Fatal(err)
	}
	job := dataflowJob{jobs: service.Projects.Locations.Jobs, project: "p", region: "r", id: "j", poll: time.Millisecond}
	run := func(ctx context.Context, list ...string) error {
		mu.Lock()
		states = list
		mu.Unlock()
		return job.wait(ctx, "generate")
	}
	if err := run(t.Context(), "JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_DONE"); err != nil {
		t.Error(err)
	}
	var failed *JobError
	if err := run(t.Context(), "JOB_STATE_RUNNING", "JOB_STATE_FAILED"); !errors.As(err, &failed) || err.Error() != "generate part 3: no luck" {
		t.Errorf("a failed job gave %v", err)
	}
	if err := run(t.Context(), "JOB_STATE_CANCELLED"); err == nil || !strings.Contains(err.Error(), "job j ended in JOB_STATE_CANCELLED") {
		t.Errorf("a job cancelled there gave %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := run(ctx, "JOB_STATE_RUNNING"); !errors.Is(err, context.DeadlineExceeded) || asked.RequestedState != "JOB_STATE_CANCELLED" {
		t.Errorf("a job cancelled here gave %v, the server was asked for %q", err, asked.RequestedState)
	}
	if m, err := job.metrics(); err != nil || m.Job != "j" || len(m.Counters) != 1 || m.Counters["profuser/rows"] != 7 {
		t.Errorf("metrics %+v, %v", m, err)
	}
}

package runner

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines/worker"
	"github.com/profuser/profuser/transforms/sink"
)

// TestMain makes the test binary the worker that runners start, as the program is.
func TestMain(m *testing.M) {
	if worker.Started(os.Args[1:]) {
		if err := worker.Work(context.Background(), os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	beam.Init()
	os.Exit(m.Run())
}

func init() {
	register.DoFn3x1[context.Context, []byte, func(int64), error](&countFn{})
	register.DoFn1x0[int64](&dropFn{})
	register.Emitter1[int64]()
}

var (
	counted = beam.NewCounter("test", "counted")
	sizes   = beam.NewDistribution("test", "sizes")
)

// countFn emits N numbers; what it writes says which process ran it.
type countFn struct {
	N int
	// Fault fails it, Wait lets it wait for its end, Kill kills the process unless the file is there.
	Fault, Wait, Kill string
	// Pid is a file for the number of the process and its current folder.
	Pid string
}

func (f *countFn) ProcessElement(ctx context.Context, _ []byte, emit func(int64)) error {
	if f.Pid != "" {
		folder, _ := os.Getwd()
		if err := os.WriteFile(f.Pid, fmt.Append(nil, os.Getpid(), " ", folder), 0o666); err != nil {
			return err
		}
	}
	if f.Kill != "" {
		if _, err := os.Stat(f.Kill); err != nil {
			_ = os.WriteFile(f.Kill, nil, 0o666)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}
	if f.Wait != "" {
		_ = os.WriteFile(f.Wait, nil, 0o666)
		<-ctx.Done()
		return ctx.Err()
	}
	for i := range f.N {
		counted.Inc(ctx, 1)
		sizes.Update(ctx, int64(i))
		emit(int64(i))
	}
	if f.Fault != "" {
		return sink.Fault(errors.New(f.Fault))
	}
	return nil
}

type dropFn struct{}

func (*dropFn) ProcessElement(int64) {}

func counting(f countFn) func(s beam.Scope) {
	return func(s beam.Scope) {
		beam.ParDo0(s, &dropFn{}, beam.Reshuffle(s, beam.ParDo(s, &f, beam.Impulse(s))))
	}
}

// jobServer is a Prism job server, seen only by its address.
func jobServer(t *testing.T) string {
	t.Helper()
	endpoint, err := PrismEndpoint()
	if err != nil {
		t.Fatal(err)
	}
	return endpoint
}

// pool serves a worker pool of this test binary.
func pool(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- worker.NewPool(self, os.Stderr).Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func mustOpen(t *testing.T, o Options) *Runner {
	t.Helper()
	r, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// soon waits for something that another process does.
func soon(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 1000 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not within 10 s: %s", what)
}

// gone says whether the process in a countFn's Pid file has gone.
func gone(t *testing.T, file string) bool {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(data), &pid); err != nil || pid == os.Getpid() {
		t.Fatalf("%s has %q: %v", file, data, err)
	}
	return syscall.Kill(pid, 0) != nil
}

// TestRunners runs a job on every runner that works here: counts arrive, faults come back as they were, a job that is
// cancelled here ends there, a worker that was killed is a failed job whose second submission succeeds, and no process
// stays.
func TestRunners(t *testing.T) {
	endpoint := jobServer(t)
	for name, o := range map[string]Options{
		"prism":             {},
		"direct":            {Name: Direct},
		"portable loopback": {Name: Portable, Endpoint: endpoint},
		"portable process":  {Name: Portable, Endpoint: endpoint, Environment: Process},
		"portable external": {Name: Flink, Endpoint: endpoint, EnvironmentConfig: pool(t)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.Stall = 3 * time.Second // Prism does not always notice that a worker was killed
			r, dir := mustOpen(t, o), t.TempDir()
			pid := filepath.Join(dir, "pid")
			var mu sync.Mutex
			var last Metrics
			err := r.Run(t.Context(), Job{Name: "count 100", Build: counting(countFn{N: 100, Pid: pid}), Progress: func(m Metrics) {
				mu.Lock()
				defer mu.Unlock()
				last = m
			}})
			if err != nil {
				t.Fatal(err)
			}
			if o.Name != Direct && (last.Job == "" || last.Counters["test/counted"] != 100 || last.Distributions["test/sizes"] != Distribution{100, 4950, 0, 99}) {
				t.Errorf("metrics %+v", last)
			}
			if o.Name == Portable && r.Options().Remote() {
				folder, _ := os.Getwd()
				if data, _ := os.ReadFile(pid); !strings.HasSuffix(string(data), " "+folder) {
					t.Errorf("the worker is %q, want it in %s", data, folder)
				}
			}
			err = r.Run(t.Context(), Job{Name: "fail", Build: counting(countFn{N: 1, Fault: "generate part 3: prompt ab: no luck"})})
			var failed *JobError
			if !errors.As(err, &failed) || failed.Text != "generate part 3: prompt ab: no luck" || failed.Job != "fail" || err.Error() != failed.Text {
				t.Errorf("a fault came back as %v", err)
			}
			if r.Options().Remote() {
				kill := filepath.Join(dir, "kill")
				job := Job{Name: "kill", Build: counting(countFn{N: 1, Kill: kill, Pid: pid})}
				if err := r.Run(t.Context(), job); !errors.As(err, &failed) || strings.Contains(err.Error(), "\n") {
					t.Errorf("a killed worker gave %v", err)
				}
				if err := r.Run(t.Context(), job); err != nil {
					t.Errorf("submitted again: %v", err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			waiting := filepath.Join(dir, "waiting")
			go func() {
				soon(t, "the function waits", func() bool { _, err := os.Stat(waiting); return err == nil })
				cancel()
			}()
			if err := r.Run(ctx, Job{Name: "wait in " + dir, Build: counting(countFn{Wait: waiting, Pid: pid})}); !errors.Is(err, context.Canceled) {
				t.Errorf("a cancelled job gave %v", err)
			}
			if o.Name == Direct {
				return
			}
			soon(t, "the job is cancelled on its server", func() bool { return stateOf(t, endpoint, "wait in "+dir) == jobpb.JobState_CANCELLED })
			if r.Options().Remote() {
				soon(t, "the worker has ended", func() bool { return gone(t, pid) })
			}
		})
	}
}

func client(t *testing.T, endpoint string) jobpb.JobServiceClient {
	t.Helper()
	r := Runner{options: Options{Endpoint: endpoint}, dialTime: dialTime}
	connection, err := r.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return jobpb.NewJobServiceClient(connection)
}

func find(t *testing.T, endpoint, name string) *jobpb.JobInfo {
	t.Helper()
	jobs, err := client(t, endpoint).GetJobs(t.Context(), &jobpb.GetJobsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs.GetJobInfo() {
		if j.GetJobName() == name {
			return j
		}
	}
	t.Fatalf("no job %s", name)
	return nil
}

func stateOf(t *testing.T, endpoint, name string) jobpb.JobState_Enum {
	return find(t, endpoint, name).GetState()
}

// TestOptions: a job server gets every option under Beam's name for it, in its type.
func TestOptions(t *testing.T) {
	endpoint := jobServer(t)
	r := mustOpen(t, Options{Name: Portable, Endpoint: endpoint, Options: map[string]string{
		"max_bundle_size": "1000", "object_reuse": "true", "savepoint_path": "here", "files_to_stage": `["a", "b"]`, "experiments": "x,y",
	}})
	if err := r.Run(t.Context(), Job{Name: "options", Build: counting(countFn{N: 1})}); err != nil {
		t.Fatal(err)
	}
	got := find(t, endpoint, "options").GetPipelineOptions().AsMap()
	delete(got, "beam:option:go_options:v1") // hooks
	want := map[string]any{
		"beam:option:app_name:v1": "options", "beam:option:experiments:v1": []any{"beam_fn_api", "x", "y"}, "beam:option:max_bundle_size:v1": 1000.0,
		"beam:option:object_reuse:v1": true, "beam:option:savepoint_path:v1": "here", "beam:option:files_to_stage:v1": []any{"a", "b"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("options (-want +got):\n%s", d)
	}
}

// TestSecrets: a secret of the environment is nowhere in what a job server has, and a job that would carry it is not
// submitted.
func TestSecrets(t *testing.T) {
	const secret = "sk-a2x4r8s0k3y"
	t.Setenv("PROFUSER_API_KEY", secret)
	endpoint := jobServer(t)
	o := Options{Name: Portable, Endpoint: endpoint, Environment: Process, Secrets: []string{secret}}
	if err := mustOpen(t, o).Run(t.Context(), Job{Name: "secrets", Build: counting(countFn{N: 1, Pid: filepath.Join(t.TempDir(), "visible")})}); err != nil {
		t.Fatal(err)
	}
	info := find(t, endpoint, "secrets")
	pipeline, err := client(t, endpoint).GetPipeline(t.Context(), &jobpb.GetJobPipelineRequest{JobId: info.GetJobId()})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []proto.Message{info, pipeline} {
		data, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if Carries(data, secret) || strings.Contains(string(data), secret) {
			t.Errorf("%T carries the secret", m)
		}
		if m == proto.Message(pipeline) && !Carries(data, "/visible") {
			t.Error("nothing is found in the pipeline's functions: the test does not look into them")
		}
	}
	o.Options = map[string]string{"savepoint_path": secret}
	for name, refused := range map[string]struct {
		o Options
		f countFn
	}{
		"in an option":   {o, countFn{}},
		"in a function":  {Options{Secrets: o.Secrets}, countFn{Pid: "http://user:" + secret + "@host"}},
		"in environment": {Options{Name: Portable, Endpoint: endpoint, Environment: Process, Secrets: o.Secrets, EnvironmentConfig: `{"command": "x", "env": {"KEY": "` + secret + `"}}`}, countFn{}},
	} {
		err := mustOpen(t, refused.o).Run(t.Context(), Job{Name: name, Build: counting(refused.f)})
		if err == nil || !strings.Contains(err.Error(), "the job carries a secret of the environment") || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDial: a job server that is not there, or is something else, is named within the time for it.
func TestDial(t *testing.T) {
	silent, err := net.Listen("tcp", "localhost:0") // accepts and says nothing, as Flink's own port does to gRPC
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{silent.Addr().String(), closed.Addr().String()} {
		began := time.Now()
		_, err := open(t.Context(), Options{Name: Flink, Endpoint: address}, 100*time.Millisecond)
		if err == nil || !strings.Contains(err.Error(), "no Beam job server answers at "+address+" (") || time.Since(began) > 3*time.Second {
			t.Errorf("%s: %v after %v", address, err, time.Since(began))
		}
	}
	for _, bad := range []Options{{Name: "spark"}, {Name: Portable, Endpoint: "host"}, {Name: Portable}} {
		if _, err := Open(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "want ") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestProbe: workers that cannot see what a job needs are found out before it.
func TestProbe(t *testing.T) {
	const variable = "PROFUSER_TEST_PROBE"
	endpoint := jobServer(t)
	there := t.TempDir()
	store, err := dataset.OpenStore(t.Context(), filepath.Join(there, "out"))
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Name: Portable, Endpoint: endpoint, Environment: Process}
	if err := mustOpen(t, o).Probe(t.Context(), store, Needs{Paths: []string{there}}); err != nil {
		t.Error(err)
	}
	t.Setenv(variable, "")
	for want, needs := range map[string]Needs{
		"they do not have " + there + "/model: no such file or directory: put it there at the same path": {Paths: []string{there, there + "/model"}},
		"they lack the environment variable " + variable:                                                 {Variables: []string{variable}},
	} {
		err := mustOpen(t, o).Probe(t.Context(), store, needs)
		if err == nil || !strings.Contains(err.Error(), "the workers of runner portable, environment PROCESS: "+want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	memory, err := dataset.OpenStore(t.Context(), "mem://probe/out") // of this process alone, as a local folder is of a machine
	if err != nil {
		t.Fatal(err)
	}
	if err := mustOpen(t, o).Probe(t.Context(), memory, Needs{}); err == nil || !strings.Contains(err.Error(), "they do not see the folder mem://probe/out") {
		t.Errorf("error %v", err)
	}
	for _, s := range []dataset.Store{store, memory} {
		if keys, err := s.List(t.Context(), ""); err != nil || len(keys) > 0 {
			t.Errorf("the probe leaves %v, %v", keys, err)
		}
	}
}

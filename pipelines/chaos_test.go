package pipelines_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/fsouza/fake-gcs-server/fakestorage"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines"
)

var (
	rounds    = flag.Int("rounds", 4, "rounds of TestChaos")
	chaosSeed = flag.Uint64("chaos-seed", 1, "seed of TestChaos")
)

// chaosVariable holds a chaosTask as JSON: the test binary is then the program that TestChaos starts and kills.
const chaosVariable = "PROFUSER_TEST_CHAOS"

// chaosTask is what one such process does.
type chaosTask struct {
	File, Out string
	// Faults is the share of calls to the store that fail, Seed decides which. They are for out faulty://PATH.
	Faults float64
	Seed   uint64
}

// chaosSteps are made by each process.
var chaosSteps = []string{"ingest", "generate", "reward", "crossentropy", "fuse"}

// chaosRun makes the steps, as the program does, and returns the exit status.
func chaosRun(text string) int {
	var task chaosTask
	err := json.Unmarshal([]byte(text), &task)
	if err == nil {
		err = task.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func (task chaosTask) run() error {
	beam.Init()
	random := rand.New(rand.NewPCG(task.Seed, 1))
	var mu sync.Mutex
	dataset.Register("faulty", func(ctx context.Context, url string) (dataset.Store, error) {
		inner, err := dataset.OpenStore(ctx, strings.TrimPrefix(url, "faulty://"))
		return faultyStore{inner, url, func() float64 {
			mu.Lock()
			defer mu.Unlock()
			return random.Float64() / max(task.Faults, 1e-9)
		}}, err
	})
	c, err := config.Load(task.File, nil)
	if err != nil {
		return err
	}
	c.Out = task.Out
	r, err := pipelines.New(context.Background(), c, os.Stdout)
	if err != nil {
		return err
	}
	return r.Do(context.Background(), chaosSteps...)
}

// faultyStore is a store on a disk that is full now and then, slow, and sometimes fails after it has done its work.
type faultyStore struct {
	dataset.Store
	url  string
	draw func() float64 // below 1: a fault
}

func (s faultyStore) URL() string { return s.url }

func (s faultyStore) Create(ctx context.Context, key string, data []byte) error {
	switch x := s.draw(); {
	case x < 0.4:
		return fmt.Errorf("writing %s: %w", key, syscall.ENOSPC)
	case x < 0.6:
		return errors.Join(s.Store.Create(ctx, key, data), fmt.Errorf("writing %s: %w", key, syscall.EIO)) // it is there all the same
	case x < 1:
		time.Sleep(20 * time.Millisecond)
	}
	return s.Store.Create(ctx, key, data)
}

func (s faultyStore) Read(ctx context.Context, key string) ([]byte, error) {
	data, err := s.Store.Read(ctx, key)
	switch x := s.draw(); {
	case err != nil, x >= 1:
	case x < 0.5:
		return nil, fmt.Errorf("reading %s: %w", key, syscall.EIO)
	case x < 0.8:
		return data[:len(data)/2], nil // and nobody says so
	}
	return data, err
}

func (s faultyStore) List(ctx context.Context, prefix string) ([]string, error) {
	if s.draw() < 0.5 {
		return nil, fmt.Errorf("listing %s: %w", prefix, syscall.EIO)
	}
	return s.Store.List(ctx, prefix)
}

func (s faultyStore) Exists(ctx context.Context, key string) (bool, error) {
	if s.draw() < 0.5 {
		return false, fmt.Errorf("looking for %s: %w", key, syscall.EIO)
	}
	return s.Store.Exists(ctx, key)
}

// faultyBucket is a server of object storage behind a proxy with faults.
type faultyBucket struct {
	http.Handler
	on     atomic.Bool
	mu     sync.Mutex
	random *rand.Rand
	seen   [5]atomic.Int64
}

func (b *faultyBucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := len(b.seen)
	if b.on.Load() {
		b.mu.Lock()
		kind = b.random.IntN(8 * len(b.seen))
		b.mu.Unlock()
	}
	if kind < len(b.seen) {
		b.seen[kind].Add(1)
	}
	recorded := httptest.NewRecorder()
	if kind != 0 {
		b.Handler.ServeHTTP(recorded, r)
	}
	body := recorded.Body.Bytes()
	for name, values := range recorded.Header() {
		w.Header()[name] = values
	}
	switch kind {
	case 0: // before anything is done
		w.WriteHeader(http.StatusServiceUnavailable)
	case 1: // after it is done: the client tries again and meets its own object, 412
		w.Header().Del("Content-Length")
		w.WriteHeader(http.StatusInternalServerError)
	case 2:
		time.Sleep(30 * time.Millisecond)
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(body)
	case 3: // the connection is cut in the middle
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(body[:len(body)/2])
		panic(http.ErrAbortHandler)
	case 4: // shorter than it should be, and nothing says so
		w.Header().Del("Content-Length")
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(body[:len(body)*2/3])
	default:
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(body)
	}
}

// chaos is the test's world: models behind faulty servers, a faulty bucket, and what an undisturbed run writes.
type chaos struct {
	*testing.T
	served served
	bucket *faultyBucket
	random *rand.Rand
	took   time.Duration
	outage *time.Timer // ends an outage
	want   map[string]string
	// kills and failures count how attempts ended.
	kills, failures, attempts int
}

// attempt starts the program. It returns whether it came to its end; kill, if above 0, is the time until it is killed.
func (c *chaos) attempt(task chaosTask, kill time.Duration) bool {
	text, err := json.Marshal(task)
	if err != nil {
		c.Fatal(err)
	}
	var stderr bytes.Buffer
	p := exec.Command(os.Args[0])
	p.Env = append(os.Environ(), chaosVariable+"="+string(text), "TMPDIR="+c.TempDir())
	p.Stderr = &stderr
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.Start(); err != nil {
		c.Fatal(err)
	}
	if kill > 0 {
		timer := time.AfterFunc(kill, func() { _ = syscall.Kill(-p.Process.Pid, syscall.SIGKILL) })
		defer timer.Stop()
	}
	err = p.Wait()
	c.attempts++
	var exit *exec.ExitError
	switch said := strings.TrimSpace(stderr.String()); {
	case err == nil:
		return true
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() && kill > 0:
		c.kills++
	case exit.ExitCode() != 1 || said == "" || strings.Contains(said, "\n") || strings.Contains(said, "panic"):
		c.Fatalf("the run ended with %v and said:\n%s", err, said)
	default:
		c.failures++
		c.Logf("attempt %d: %s", c.attempts, said)
	}
	return false
}

// trouble switches faults of servers and bucket on, or all off.
func (c *chaos) trouble(servers, outage, bucket bool) {
	if c.outage != nil {
		c.outage.Stop()
	}
	c.served.switchTo(servers || outage, 0)
	c.bucket.on.Store(bucket)
	if outage {
		c.served.switchTo(true, http.StatusServiceUnavailable)
		c.outage = time.AfterFunc(c.took/4, func() { c.served.switchTo(servers, 0) })
	}
}

// files are the objects of a store, but for what runs cost.
func (c *chaos) files(out string) map[string]string {
	store, err := dataset.OpenStore(c.Context(), out)
	if err != nil {
		c.Fatal(err)
	}
	keys, err := store.List(c.Context(), "")
	if err != nil {
		c.Fatal(err)
	}
	files := map[string]string{}
	for _, key := range keys {
		if strings.HasPrefix(key, "steps/") {
			continue
		}
		data, err := store.Read(c.Context(), key)
		if err != nil {
			c.Fatal(err)
		}
		files[key] = string(data)
	}
	return files
}

// round lets troubled attempts follow each other and then untroubled ones, until one comes to its end.
func (c *chaos) round(n int) {
	defer c.trouble(false, false, false)
	dir := filepath.Join(filepath.Dir(c.served.file), fmt.Sprint("round", n))
	local := n%2 == 0
	place := dir
	if !local {
		place = fmt.Sprintf("gs://chaos/round%d", n)
	}
	for i := range 10 {
		task := chaosTask{File: c.served.file, Out: place, Seed: c.random.Uint64()}
		troubled := i < 5
		if local {
			task.Out = "faulty://" + dir
		}
		if local && troubled && (i == 0 || c.random.IntN(2) == 0) {
			task.Faults = 0.05
		}
		var kill time.Duration
		if troubled && i > 0 && c.random.IntN(3) > 0 {
			kill = 50*time.Millisecond + time.Duration(c.random.Int64N(int64(c.took)))
		}
		c.trouble(troubled && c.random.IntN(2) == 0, troubled && c.random.IntN(4) == 0, troubled && !local && (i == 0 || c.random.IntN(2) == 0))
		if c.attempt(task, kill) {
			break
		}
		if i >= 5 {
			c.Fatalf("round %d does not come to its end without trouble", n)
		}
	}
	c.trouble(false, false, false)
	got := c.files(place)
	for key := range c.want {
		if got[key] != c.want[key] {
			c.Errorf("round %d: %s has %d bytes, the undisturbed run's %d:\n%.300q\n%.300q", n, key, len(got[key]), len(c.want[key]), got[key], c.want[key])
		}
		delete(got, key)
	}
	for key := range got {
		c.Errorf("round %d: %s is there, and not after an undisturbed run", n, key)
	}
}

// TestChaos kills runs at any moment, fills the disk, and lets model servers and buckets fail in every way, by a seed.
// Each round must end with the bytes of an undisturbed run. make chaos ROUNDS=20 SEED=3 runs more.
func TestChaos(t *testing.T) {
	if testing.Short() {
		*rounds = min(*rounds, 2)
	}
	c := &chaos{T: t, random: rand.New(rand.NewPCG(*chaosSeed, 2))}
	c.served = newServed(t, 40, "attempts: 1000, timeout: 300ms, max_wait: 2ms")
	for _, f := range c.served.servers {
		f.Share = 0.4
	}
	text, err := os.ReadFile(c.served.file)
	if err != nil {
		t.Fatal(err)
	}
	// Servers may fail, no row may: the dataset is the same whatever happens.
	changed := strings.NewReplacer("fuse: {max_rejects: 1}", "fuse: {max_rejects: 1}", "max_rejects: 1", "max_rejects: 0", "part_rows: 16", "part_rows: 5",
		"[judge-a, critic]", "[judge-a]"). // a judge whose reply was damaged has said something else, and its row is rejected
		Replace(string(text))
	if err := os.WriteFile(c.served.file, []byte(changed), 0o666); err != nil {
		t.Fatal(err)
	}
	fake, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true})
	if err != nil {
		t.Fatal(err)
	}
	fake.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "chaos"})
	c.bucket = &faultyBucket{Handler: fake.HTTPHandler(), random: rand.New(rand.NewPCG(*chaosSeed, 3))}
	proxy := httptest.NewServer(c.bucket)
	defer proxy.Close()
	t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(proxy.URL, "http://"))

	plain := filepath.Join(filepath.Dir(c.served.file), "plain")
	if !c.attempt(chaosTask{File: c.served.file, Out: plain}, 0) { // the servers think
		t.Fatal("an undisturbed run fails")
	}
	c.want = c.files(plain)
	began := time.Now()
	if !c.attempt(chaosTask{File: c.served.file, Out: plain + "-again"}, 0) { // and now remember
		t.Fatal("an undisturbed run fails")
	}
	c.took = time.Since(began)
	for n := range *rounds {
		c.round(n)
	}
	var seen []int64
	for kind := range c.bucket.seen {
		seen = append(seen, c.bucket.seen[kind].Load())
	}
	t.Logf("%d rounds in %v: %d attempts, %d killed, %d failed; an undisturbed one takes %v; faults of the bucket %v", *rounds, time.Since(began), c.attempts, c.kills, c.failures, c.took, seen)
	if *rounds >= 4 && (c.kills+c.failures == 0 || slices.Max(seen) == 0) {
		t.Error("too little trouble")
	}
}

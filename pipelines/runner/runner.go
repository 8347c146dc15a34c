package runner

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	//lint:ignore SA1019 deprecated for what it cannot do; a test that wants no job server needs nothing of that
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct" // registers the runner
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/profuser/profuser/transforms/sink"
)

// dialTime is how long a job server may take to answer.
const dialTime = 5 * time.Second

// Runner runs jobs, one or several at once.
type Runner struct {
	options  Options
	dialTime time.Duration
}

// Job is one pipeline to run.
type Job struct {
	// Name is shown by runners, such as "generate sage".
	Name string
	// Build adds the transforms.
	Build func(s beam.Scope)
	// Progress, if set, gets the counts every Poll while the job runs, and those of the end. Runner Direct reports none.
	// It is called by one goroutine at a time.
	Progress func(Metrics)
	// Poll is the time between two calls of Progress. Default: 500 ms.
	Poll time.Duration
}

// Open checks the options and that the job server answers.
func Open(ctx context.Context, o Options) (*Runner, error) { return open(ctx, o, dialTime) }

func open(ctx context.Context, o Options, dialTime time.Duration) (*Runner, error) {
	o, err := o.filled()
	if err != nil {
		return nil, err
	}
	r := &Runner{options: o, dialTime: dialTime}
	switch o.Name {
	case Prism, Direct:
		return r, nil
	case Dataflow:
		return r, checkDataflow(o)
	case Portable, Flink:
		connection, err := r.dial(ctx)
		if err != nil {
			return nil, err
		}
		return r, connection.Close()
	}
	return nil, fmt.Errorf("runner.name: is %q, want %s, %s, %s, %s or %s", o.Name, Prism, Direct, Portable, Flink, Dataflow)
}

// Options returns the options with defaults filled in.
func (r *Runner) Options() Options { return r.options }

// JobError says that a job failed where it ran. The same job submitted again goes on with what is missing.
type JobError struct {
	// Job is the job's name.
	Job string
	// Text is the fault that ended it, on one line.
	Text string
	// Err is the runner's own message.
	Err error
}

// Error is the fault's text.
func (e *JobError) Error() string { return e.Text }

// Unwrap returns the runner's message.
func (e *JobError) Unwrap() error { return e.Err }

// Run runs a job to its end. A job that failed is a *JobError; when ctx ends, the job is cancelled and the error is
// ctx's.
func (r *Runner) Run(ctx context.Context, j Job) error {
	quiet()
	p, s := beam.NewPipelineWithRoot()
	j.Build(s)
	if j.Poll <= 0 {
		j.Poll = 500 * time.Millisecond
	}
	var err error
	switch r.options.Name {
	case Direct:
		_, err = beam.Run(ctx, Direct, p)
	case Dataflow:
		err = r.runDataflow(ctx, p, j)
	default:
		err = r.submit(ctx, p, j)
	}
	var failed *JobError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &failed), r.options.Name != Direct:
		return err
	}
	return jobError(j.Name, err)
}

// mangled is a marked fault in a message whose runner has escaped characters outside ASCII.
var mangled = strings.NewReplacer(`\u27ea`, "\u27ea", `\u27eb`, "\u27eb", `\xe2\x9f\xaa`, "\u27ea", `\xe2\x9f\xab`, "\u27eb")

var spaces = regexp.MustCompile(`\s+`)

// jobError finds the fault in a runner's message; without one it takes the message's beginning and end.
func jobError(job string, err error) *JobError {
	e := &JobError{Job: job, Err: err}
	text, ok := sink.FaultText(err)
	if !ok {
		text, ok = sink.FaultText(errors.New(mangled.Replace(err.Error())))
	}
	if ok {
		e.Text = text
		return e
	}
	e.Text = spaces.ReplaceAllString(strings.TrimSpace(err.Error()), " ")
	const most = 400
	if len(e.Text) > most {
		e.Text = strings.ToValidUTF8(e.Text[:most/2], "") + " … " + strings.ToValidUTF8(e.Text[len(e.Text)-most/2:], "")
	}
	return e
}

// dial connects to the job server.
func (r *Runner) dial(ctx context.Context) (*grpc.ClientConn, error) {
	endpoint := r.options.Endpoint
	if r.options.Name == Prism {
		var err error
		if endpoint, err = PrismEndpoint(); err != nil {
			return nil, err
		}
	}
	connection, err := grpc.NewClient("passthrough:///"+endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
	if err != nil {
		return nil, fmt.Errorf("runner.endpoint: is %q: %w", endpoint, err)
	}
	waiting, cancel := context.WithTimeout(ctx, r.dialTime)
	defer cancel()
	connection.Connect()
	for state := connection.GetState(); state != connectivity.Ready; state = connection.GetState() {
		if state != connectivity.TransientFailure && connection.WaitForStateChange(waiting, state) {
			continue
		}
		err := fmt.Errorf("no Beam job server answers at %s (runner.endpoint, --endpoint): start one there, or give the address of one; "+
			"Flink's own port (8081) is none, its job server has 8099", endpoint)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, errors.Join(err, connection.Close())
	}
	return connection, nil
}

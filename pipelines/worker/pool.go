package worker

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	"google.golang.org/grpc"
)

// Pool starts workers, processes of this program, for runners that ask for them (environment EXTERNAL). It serves
// Beam's external worker pool interface.
type Pool struct {
	fnpb.UnimplementedBeamFnExternalWorkerPoolServer

	program string
	out     io.Writer

	mu      sync.Mutex
	workers map[string]*exec.Cmd
	ended   sync.WaitGroup
}

// NewPool makes a pool whose workers run program and write to out.
func NewPool(program string, out io.Writer) *Pool {
	return &Pool{program: program, out: out, workers: map[string]*exec.Cmd{}}
}

// Serve answers runners on l until ctx ends; then it ends its workers and waits for them.
func (p *Pool) Serve(ctx context.Context, l net.Listener) error {
	server := grpc.NewServer()
	fnpb.RegisterBeamFnExternalWorkerPoolServer(server, p)
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	err := server.Serve(l)
	p.mu.Lock()
	for _, worker := range p.workers {
		_ = worker.Process.Kill() // it may have ended by itself
	}
	p.mu.Unlock()
	p.ended.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serving the worker pool: %w", err)
}

// StartWorker starts a process.
func (p *Pool) StartWorker(_ context.Context, r *fnpb.StartWorkerRequest) (*fnpb.StartWorkerResponse, error) {
	refuse := func(format string, args ...any) (*fnpb.StartWorkerResponse, error) {
		return &fnpb.StartWorkerResponse{Error: fmt.Sprintf(format, args...)}, nil
	}
	id := r.GetWorkerId()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.workers[id] != nil {
		return refuse("this pool has a worker %q already", id)
	}
	if r.GetProvisionEndpoint().GetUrl() == "" {
		return refuse("no provision endpoint for worker %q: the runner is older than Beam's interface for pools", id)
	}
	worker := exec.Command(p.program, "--id="+id, "--provision_endpoint="+r.GetProvisionEndpoint().GetUrl(),
		"--logging_endpoint="+r.GetLoggingEndpoint().GetUrl(), "--control_endpoint="+r.GetControlEndpoint().GetUrl())
	worker.Stdout, worker.Stderr = p.out, p.out
	if err := worker.Start(); err != nil {
		return refuse("starting worker %q: %v", id, err)
	}
	p.workers[id] = worker
	p.ended.Go(func() {
		_ = worker.Wait() // the runner sees that it has gone
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.workers[id] == worker {
			delete(p.workers, id)
		}
	})
	return &fnpb.StartWorkerResponse{}, nil
}

// StopWorker ends a process. One that has gone already is no error.
func (p *Pool) StopWorker(_ context.Context, r *fnpb.StopWorkerRequest) (*fnpb.StopWorkerResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if worker := p.workers[r.GetWorkerId()]; worker != nil {
		_ = worker.Process.Kill()
		delete(p.workers, r.GetWorkerId())
	}
	return &fnpb.StopWorkerResponse{}, nil
}

// Serve serves a pool of this program's workers at address until ctx ends.
func Serve(ctx context.Context, address string, out io.Writer) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program, which is the worker: %w", err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("worker pool: %w", err)
	}
	fmt.Fprintf(out, "worker pool at %s; jobs ask for workers with --environment EXTERNAL --environment-config %s\n", l.Addr(), l.Addr())
	return NewPool(program, out).Serve(ctx, l)
}

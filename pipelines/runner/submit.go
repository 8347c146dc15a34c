package runner

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/extworker"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/runnerlib"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/profuser/profuser/pipelines/worker"
)

// environmentURNs are Beam's names.
var environmentURNs = map[string]string{
	Loopback: graphx.URNEnvExternal, External: graphx.URNEnvExternal, Process: graphx.URNEnvProcess, Docker: graphx.URNEnvDocker,
}

// submit runs a job through a job server. The Go SDK's own submitter forwards none of a runner's options, tells the
// job's id at the end only, does not cancel, and leaves a file behind at each run.
func (r *Runner) submit(ctx context.Context, p *beam.Pipeline, j Job) (err error) {
	connection, err := r.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, connection.Close()) }()
	config := r.options.EnvironmentConfig
	if r.options.Environment == Loopback {
		server, err := extworker.StartLoopback(context.WithoutCancel(ctx), 0) // workers outlive ctx until the job is cancelled
		if err != nil {
			return fmt.Errorf("starting workers in this process: %w", err)
		}
		defer func() { _ = server.Stop(context.WithoutCancel(ctx)) }() // never an error
		config = server.EnvironmentConfig(ctx)
	} else if r.options.Environment == Docker && config == "" {
		config = core.DefaultDockerImage
	}
	pipeline, err := r.pipeline(ctx, p, config)
	if err != nil {
		return fmt.Errorf("building the job %s: %w", j.Name, err)
	}
	client := jobpb.NewJobServiceClient(connection)
	id, err := r.start(ctx, client, pipeline, j.Name)
	if err != nil {
		return fmt.Errorf("submitting the job %s to %s: %w", j.Name, connection.Target(), oneLine(err))
	}
	return r.followed(ctx, j, func() (Metrics, error) {
		m, err := client.GetJobMetrics(context.WithoutCancel(ctx), &jobpb.GetJobMetricsRequest{JobId: id})
		return metricsOf(id, m.GetMetrics().GetAttempted(), m.GetMetrics().GetCommitted()), err
	}, func(ctx context.Context) error { return wait(ctx, client, id, j.Name) })
}

// pipeline translates the graph.
func (r *Runner) pipeline(ctx context.Context, p *beam.Pipeline, config string) (*pipepb.Pipeline, error) {
	edges, _, err := p.Build()
	if err != nil {
		return nil, err
	}
	environment, err := graphx.CreateEnvironment(ctx, environmentURNs[r.options.Environment], func(context.Context) string { return config })
	if err != nil {
		return nil, fmt.Errorf("runner.environment_config: %w", err)
	}
	pipeline, err := graphx.Marshal(edges, &graphx.Options{Environment: environment})
	if err != nil {
		return nil, err
	}
	if r.options.WorkerBinary != "" {
		return pipeline, runnerlib.UpdateGoEnvironmentWorker(r.options.WorkerBinary, pipeline)
	}
	for _, e := range pipeline.GetComponents().GetEnvironments() {
		e.Dependencies = nil
	}
	return pipeline, nil
}

// start prepares a job, sends its files and lets it run.
func (r *Runner) start(ctx context.Context, client jobpb.JobServiceClient, pipeline *pipepb.Pipeline, name string) (id string, err error) {
	hooks.SerializeHooksToOptions() // without them a worker does not log to the runner
	forWorkers := map[string]string{}
	for _, key := range []string{"hooks", "hookOrder"} {
		forWorkers[key] = beam.PipelineOptions.Get(key)
	}
	if r.options.Remote() {
		if forWorkers[worker.FolderOption], err = os.Getwd(); err != nil {
			return "", err
		}
	}
	options, err := structpb.NewStruct(r.options.pipelineOptions(name, forWorkers))
	if err != nil {
		return "", fmt.Errorf("runner.options: %w", err)
	}
	request := &jobpb.PrepareJobRequest{Pipeline: pipeline, PipelineOptions: options, JobName: name}
	data, err := proto.Marshal(request)
	if err != nil {
		return "", err
	}
	if err := r.options.secret(data); err != nil {
		return "", err
	}
	prepared, err := client.Prepare(ctx, request)
	if err != nil {
		return "", err
	}
	token, err := runnerlib.Stage(ctx, prepared.GetPreparationId(), prepared.GetArtifactStagingEndpoint().GetUrl(), r.options.WorkerBinary, prepared.GetStagingSessionToken())
	if err != nil {
		return "", err
	}
	return runnerlib.Submit(ctx, client, prepared.GetPreparationId(), token)
}

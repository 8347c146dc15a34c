package worker

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/container/tools"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
)

// FolderOption is the pipeline option that holds the submitter's current folder: paths of fusion.yaml mean the same on a
// worker that shares its files.
const FolderOption = "profuser_folder"

// parentEvery is how often a worker looks whether who started it still lives.
const parentEvery = time.Second

// Started says whether a command line is that of a runner which starts a worker: by Beam's contract for
// containers, which processes follow too, it has --provision_endpoint.
func Started(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool {
		return strings.HasPrefix(strings.TrimLeft(a, "-"), "provision_endpoint=")
	})
}

// Work is a worker's life: it asks the runner for its addresses and options, and runs bundles until the runner hangs up,
// ctx ends, or the process that started it is gone. It does what Beam's boot program and the worker that boot starts do,
// without copies of the program in temporary folders and processes that outlive the job.
func Work(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("worker", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	id := flags.String("id", "", "")
	provision := flags.String("provision_endpoint", "", "")
	logging := flags.String("logging_endpoint", "", "")
	control := flags.String("control_endpoint", "", "")
	flags.String("artifact_endpoint", "", "")
	flags.String("semi_persist_dir", "", "")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("started as a worker: %w", err)
	}
	ctx = grpcx.WriteWorkerID(ctx, strings.Trim(*id, "'")) // Prism quotes it
	info, err := tools.ProvisionInfo(ctx, *provision)
	if err != nil {
		return fmt.Errorf("worker %s: asking %s what to do: %w", *id, *provision, err)
	}
	if url := info.GetLoggingEndpoint().GetUrl(); url != "" {
		*logging = url
	}
	if url := info.GetControlEndpoint().GetUrl(); url != "" {
		*control = url
	}
	var options runtime.RawOptionsWrapper
	if err := tools.ProtoToOptions(info.GetPipelineOptions(), &options); err != nil {
		options = runtime.RawOptionsWrapper{} // another SDK's form: there is nothing in it for us
	}
	runtime.GlobalOptions.Import(options.Options)
	if err := enter(options.Options.Options[FolderOption]); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go watchParent(ctx, cancel)
	return harness.MainWithOptions(ctx, *logging, *control, harness.Options{
		StatusEndpoint: info.GetStatusEndpoint().GetUrl(), RunnerCapabilities: info.GetRunnerCapabilities(),
	})
}

// watchParent cancels when the process that started this one is gone.
func watchParent(ctx context.Context, cancel func()) {
	parent := os.Getppid()
	tick := time.NewTicker(parentEvery)
	defer tick.Stop()
	for os.Getppid() == parent {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	cancel()
}

// enter changes to the submitter's folder, where it is there.
func enter(folder string) error {
	if folder == "" {
		return nil
	}
	if err := os.Chdir(folder); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("a worker cannot enter the folder that the job was submitted from: %w", err)
	}
	return nil
}

// EnterFolder changes to the submitter's folder in a worker that Beam's boot program has started.
func EnterFolder() error {
	data, err := os.ReadFile(os.Getenv("PIPELINE_OPTIONS_FILE"))
	if err != nil {
		return nil // boot's own business
	}
	var options runtime.RawOptionsWrapper
	if err := json.Unmarshal(data, &options); err != nil {
		return nil
	}
	return enter(options.Options.Options[FolderOption])
}

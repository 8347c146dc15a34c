// Command profuser is the data side of ProFuser: from prompts to a fusion dataset, and the report.
//
// Flow in: fusion.yaml, input files, model directories; flow out: committed datasets under the configuration's out
// folder, the evaluations, summary.json and report.html. The steps are Beam jobs of package pipelines; this package
// reads flags, prints errors on one line and sets the exit status (0 done, 1 failed, 2 wrong usage). Started by a Beam
// runner with --worker it is the worker binary.
//
// It trains nothing: that is profuser-trainer. The commands score and sample look at one model (package models/probe).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/spf13/cobra"

	"github.com/profuser/profuser/pipelines"
	"github.com/profuser/profuser/pipelines/exam"
	"github.com/profuser/profuser/pipelines/opening"
	"github.com/profuser/profuser/pipelines/worker"
)

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // a quarter less memory for no time that could be measured: most of the work makes little garbage
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	if err := initBeam(args); err != nil {
		fmt.Fprintln(stderr, "profuser:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the first Ctrl-C ends the work, a second one the process
	if worker.Started(args) {
		opening.Use()
		exam.UseModels()
		if err := worker.Work(ctx, args); err != nil {
			fmt.Fprintln(stderr, "profuser:", err)
			return 1
		}
		return 0
	}
	var ran bool
	root := newRoot(&ran)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "profuser: "+strings.ReplaceAll(err.Error(), "\n", "; "))
	var usage usageError
	if !ran || errors.As(err, &usage) {
		return 2
	}
	return 1
}

// usageError is a fault in the command line itself.
type usageError struct{ error }

// initBeam lets Beam take over when a runner starts this binary as a worker, and else tells it that there are no flags.
func initBeam(args []string) error {
	if beam.Initialized() {
		return nil
	}
	flags := []string{}
	for _, a := range args {
		if strings.HasPrefix(strings.TrimLeft(a, "-"), "worker=") {
			flags = args
			opening.Use()
			exam.UseModels()
			if err := worker.EnterFolder(); err != nil {
				return err
			}
		}
	}
	if !flag.Parsed() {
		if err := flag.CommandLine.Parse(flags); err != nil {
			return err
		}
	}
	beam.Init()
	return nil
}

// newRoot builds the command tree; ran becomes true when a command's own work begins.
func newRoot(ran *bool) *cobra.Command {
	root := &cobra.Command{
		Use:   "profuser",
		Short: "Turn several language models into one better one: the data side",
		Long: "profuser asks every source model what it would say, scores the answers, measures how well each source predicts the\n" +
			"reference, and writes a fusion dataset on which profuser-trainer trains the target.\n\n" +
			"Exit status: 0 done, 1 failed (one line on standard error), 2 wrong usage.",
		SilenceErrors:    true,
		SilenceUsage:     true,
		PersistentPreRun: func(*cobra.Command, []string) { *ran = true },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newInit(), newPlan(), newRun(), newStatus(), newRetryRejected(), newClean(), newReport())
	root.AddCommand(newImport(), newInspect(), newValidate(), newExport(), newServe(), newWorkerPool())
	root.AddCommand(newTokenize(), newDetokenize(), newChatRender(), newScore(), newSample(), newAlign(), newVocabulary())
	for _, step := range pipelines.Steps {
		if step == "evaluate" {
			root.AddCommand(newEvaluate())
			continue
		}
		root.AddCommand(newStep(step))
	}
	return root
}

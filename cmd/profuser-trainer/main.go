// Command profuser-trainer trains models: the target on a fusion dataset, language models on conversations, reward
// models on preference pairs.
//
// Flow in: fusion.yaml and the datasets that profuser wrote, or JSON-lines files and a model directory; flow out:
// Hugging Face model directories, checkpoints and metrics. Everything is done by the packages under trainer/: this one
// only reads flags, prints errors on one line and sets the exit status (0 done, 1 failed, 2 wrong usage).
//
// It never links Beam, and by default needs no cgo.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var ran bool
	root := newRoot(&ran)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(stderr, "profuser-trainer: "+strings.ReplaceAll(err.Error(), "\n", "; "))
	var usage usageError
	if !ran || errors.As(err, &usage) {
		return 2
	}
	return 1
}

// usageError is a fault in the command line itself.
type usageError struct{ error }

// newRoot builds the command tree; ran becomes true when a command's own work begins.
func newRoot(ran *bool) *cobra.Command {
	root := &cobra.Command{
		Use:           "profuser-trainer",
		Short:         "Train models: the fused target, language models, reward models",
		Long:          "profuser-trainer trains the target of a fusion on the datasets that profuser wrote, and the small models of the demo.\n\nExit status: 0 done, 1 failed (one line on standard error), 2 wrong usage.",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			*ran = true
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newTrain(), newMerge(), newMergeAdapter(), newPretrain(), newReward(), newDoctor())
	return root
}

// Command experiment runs the comparison that an experiment file describes and writes its tables.
//
// Flow in: the file (data/experiment.yaml), the demo's models and the built programs in bin/; flow out: everything made in
// a folder, results by digest, and a document. Stopped, the same command goes on, and the document stays as it was until it
// ends or -write is given. A row that fails does not stop the others.
//
// What is done is package trial's, what it means package findings'.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/profuser/profuser/experiment/design"
	"github.com/profuser/profuser/experiment/findings"
	"github.com/profuser/profuser/experiment/trial"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	flags := flag.NewFlagSet("experiment", flag.ContinueOnError)
	config := flags.String("config", "data/experiment.yaml", "what is done")
	out := flags.String("out", "out/experiment", "folder of everything that is made")
	document := flags.String("document", "docs/experiment.md", "where the tables are written")
	bin := flags.String("bin", "bin", "folder of the programs")
	quick := flags.Bool("quick", false, "the small version, by the file's key quick")
	write := flags.Bool("write", false, "run nothing: write the tables of what is there")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := perform(ctx, *config, *out, *document, *bin, *quick, *write); err != nil {
		fmt.Fprintln(os.Stderr, "experiment:", err)
		return 1
	}
	return 0
}

func perform(ctx context.Context, config, out, document, bin string, quick, only bool) error {
	d, err := design.Read(config, quick)
	if err != nil {
		return err
	}
	lab := &trial.Lab{Design: d, Dir: out, Profuser: filepath.Join(bin, "profuser"), Trainer: filepath.Join(bin, "profuser-trainer"), Say: say}
	var failed error
	if !only {
		failed = lab.Run(ctx)
	}
	if errors.Is(failed, trial.ErrBusy) || ctx.Err() != nil { // the document stays; -write writes what is there
		return failed
	}
	results, err := lab.Results()
	if err != nil {
		return err
	}
	if err := findings.Write(document, filepath.Join(out, "experiment.json"), d, results, quick); err != nil {
		return err
	}
	fmt.Println("written:", document)
	return failed
}

// say prints a line of progress.
func say(format string, args ...any) {
	fmt.Println(time.Now().Format("15:04:05"), fmt.Sprintf(format, args...))
}

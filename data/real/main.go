// Command real prepares and checks the run on real prompts and real tokenizers: `make real-prompts`.
//
// With -shared DIR it writes a folder that profuser can run: 200 problems of GSM8K as prompts with references, two tiny
// models of random weights with the tokenizers of Vicuna (the target) and MPT-7B-8K-Chat, three random reward models,
// and fusion.yaml. With -check it reads what a run left there: every fusion example must be valid and the training loss
// must have fallen. The models know nothing; what is tried is that everything fits real text and real vocabularies.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("real", flag.ContinueOnError)
	flags.SetOutput(stderr)
	shared := flags.String("shared", "../shared", "folder with data/ and tokenizers/")
	dir := flags.String("dir", "out/real", "folder to write or check")
	n := flags.Int("prompts", 200, "number of problems")
	check := flags.Bool("check", false, "check the results in -dir instead of preparing it")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	var err error
	if *check {
		err = verify(context.Background(), *dir, stdout)
	} else {
		err = prepare(*shared, *dir, *n)
	}
	if err != nil {
		fmt.Fprintln(stderr, "real:", err)
		return 1
	}
	return 0
}

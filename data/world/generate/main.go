// Command generate writes the demo world's files.
//
// Without -models it writes what is kept in the repository (prompts, held-out items, tokenizers) below -out; with
// -models DIR it also writes the training texts of the demo models, which are not kept. It reads nothing, draws
// everything from -seed, and a second run gives the same bytes. See package world for what the world is made of.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/profuser/profuser/data/world"
)

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

func run(args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("generate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	seed := flags.Int64("seed", 1, "seed of everything")
	out := flags.String("out", "data", "folder of the committed files")
	models := flags.String("models", "", "folder for the models' training texts; empty: none are written")
	n := flags.Int("conversations", 60000, "training conversations a model")
	pairs := flags.Int("pairs", 20000, "training pairs a judge")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	files, err := world.Committed(*seed)
	if err == nil {
		err = world.WriteAll(*out, files)
	}
	if err == nil && *models != "" {
		err = world.WriteAll(*models, world.Training(*seed, *n, *pairs, 1000))
	}
	if err != nil {
		fmt.Fprintln(stderr, "generate:", err)
		return 1
	}
	return 0
}

// Command docgen writes docs/configuration.md, the reference of fusion.yaml.
//
// Flow in: the section types of internal/config with their comments, defaults and ranges, compiled in. Flow out: the
// Markdown file named as the only argument, replaced as a whole. It is run by go generate ./internal/config; a test
// there fails when the file does not agree with the types. It knows nothing else and takes no options.
package main

import (
	"fmt"
	"os"

	"github.com/profuser/profuser/internal/config"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "docgen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want the file to write as the only argument, got %d arguments", len(args))
	}
	text, err := config.Reference()
	if err != nil {
		return err
	}
	return os.WriteFile(args[0], []byte(text), 0o666)
}

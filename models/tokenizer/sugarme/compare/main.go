// Command compare measures the tokenizer back ends against the reference implementation's results.
//
// In: folders with NAME.json(.gz) and NAME.golden.jsonl(.gz) or golden/NAME.jsonl(.gz): texts, ids, decoded texts. Out: a
// Markdown table of how many strings each back end gets right, and how fast it is, on standard output or between two
// marks of a document.
//
// It tests nothing by itself and needs no network.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

func main() {
	document := flag.String("document", "", "write the table into this file, between its two marks")
	flag.Parse()
	if err := run(*document, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(document string, folders []string) error {
	stdout, err := silence()
	if err != nil {
		return err
	}
	var table strings.Builder
	fmt.Fprintf(&table, "Measured on %s with %s, on %s/%s, in the processor's time of the process.\n\n",
		time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	table.WriteString("| tokenizer | strings | back end | ids equal | decoded equal | failed | MB/s |\n|---|---:|---|---:|---:|---:|---:|\n")
	rows := 0
	for _, folder := range folders {
		sets, err := find(folder)
		if err != nil {
			return err
		}
		for _, s := range sets {
			s.measure(&table)
			rows++
		}
	}
	if rows == 0 {
		fmt.Fprintf(stdout, "no tokenizers in %v: nothing compared\n", folders)
		return nil
	}
	if document == "" {
		_, err := fmt.Fprint(stdout, table.String())
		return err
	}
	return insert(document, table.String())
}

// silence keeps what the library prints off standard output, which it gives back.
func silence() (stdout *os.File, err error) {
	stdout = os.Stdout
	os.Stdout, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	return stdout, err
}

// Marks around the table in a document.
const beginMark, endMark = "<!-- table of make compare-backends -->\n", "<!-- end -->"

func insert(document, table string) error {
	data, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(data), beginMark)
	_, after, ended := strings.Cut(rest, endMark)
	if !found || !ended {
		return fmt.Errorf("%s has not the marks %q and %q", document, beginMark, endMark)
	}
	return os.WriteFile(document, []byte(before+beginMark+table+endMark+after), 0o644)
}

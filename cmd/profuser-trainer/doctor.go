package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/profuser/profuser/trainer/doctor"
)

// newDoctor reports what a training can use.
func newDoctor() *cobra.Command {
	var o doctor.Options
	c := &cobra.Command{
		Use:   "doctor [--backend xla:/path/to/plugin.so]",
		Short: "Say what this machine offers for training, how fast it is, and how to get what is missing",
		Long: `Look at the processor, the memory, this binary, the backends and plugins, NVIDIA's driver, devices and libraries, and
measure a matrix product on each backend that can be used, in float32 and bfloat16. What is missing is listed at the end,
each with its remedy.

Without --backend, plugins are looked for by name, as go-xla does: pjrt_c_api_NAME_plugin.so in the folders of
PJRT_PLUGIN_LIBRARY_PATH, or else in ~/.local/lib/go-xla, /usr/local/lib/go-xla and the system's folders.
Exit status 1: a backend that was named cannot be used.`,
		Example: "  profuser-trainer doctor\n  profuser-trainer-xla doctor --backend xla:/opt/pjrt/pjrt_c_api_cpu_plugin.so",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Size < 64 {
				return usageError{fmt.Errorf("flag --size: %d, must be at least 64", o.Size)}
			}
			o.Out = c.OutOrStdout()
			return doctor.Report(c.Context(), o)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringArrayVar(&o.Backends, "backend", nil, "backend to look at, as in trainer.backend; may be repeated")
	f.IntVar(&o.Size, "size", 1024, "rows and columns of the matrices that are multiplied; doubled up to 16 times on what is fast")
	f.BoolVar(&o.Quick, "quick", false, "measure nothing")
	return c
}

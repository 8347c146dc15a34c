package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"

	"github.com/profuser/profuser/models/processor"
	"github.com/profuser/profuser/trainer/flops"
)

// Options say what is looked at.
type Options struct {
	// Backends are configuration strings of trainer.backend to open beside the Go backend, which is always looked at.
	// Without any, those of the plugins that can be found by name.
	Backends []string
	// Size of the matrices whose product is measured, at least 64; 0 is 1024. It grows by itself on what is fast.
	Size int
	// Quick measures no rates.
	Quick bool
	// Out receives the report.
	Out io.Writer
}

// report is one being written.
type report struct {
	o        Options
	m        machine
	remedies []string
}

// Report looks at this machine. It is an error when a backend that Options name cannot be used.
func Report(ctx context.Context, o Options) error {
	if o.Size == 0 {
		o.Size = 1024
	}
	if o.Size < 64 {
		return fmt.Errorf("size %d: must be at least 64", o.Size)
	}
	r := report{o: o, m: machine{root: os.DirFS("/"), getenv: os.Getenv, run: func(name string, args ...string) (string, error) {
		ctx, stop := context.WithTimeout(ctx, 10*time.Second)
		defer stop()
		out, err := exec.CommandContext(ctx, name, args...).Output()
		return string(out), err
	}}}
	return r.write()
}

func (r *report) write() error {
	r.line("processor", r.m.processor())
	r.line("memory", r.m.memory())
	r.build()
	r.backend(processor.Default)
	named := r.o.Backends
	if len(named) == 0 {
		named = r.plugins()
	}
	r.nvidia(named)
	var faults []error
	for _, config := range named {
		if config == processor.Default {
			continue
		}
		if err := r.backend(config); err != nil && len(r.o.Backends) > 0 {
			faults = append(faults, err)
		}
	}
	if len(r.remedies) > 0 {
		fmt.Fprintln(r.o.Out)
	}
	for i, remedy := range r.remedies {
		fmt.Fprintf(r.o.Out, "%d. %s\n", i+1, remedy)
	}
	return errors.Join(faults...)
}

func (r *report) line(name, text string) { fmt.Fprintf(r.o.Out, "%-15s %s\n", name, text) }

func (r *report) remedy(format string, args ...any) {
	r.remedies = append(r.remedies, fmt.Sprintf(format, args...))
}

// build says how this binary was made.
func (r *report) build() {
	yes := map[bool]string{true: "yes", false: "no"}
	r.line("this binary", fmt.Sprintf("%s, vector kernels (GOEXPERIMENT=simd) %s, XLA %s", runtime.Version(), yes[processor.Vector], yes[processor.XLA]))
	if !processor.Vector {
		r.remedy("The Go backend runs without vector instructions, about twenty times slower in products: build with make build, or GOEXPERIMENT=simd go build.")
	}
	if !processor.XLA {
		r.remedy("This binary has no XLA, so no GPU and only the Go backend: make build-xla makes bin/profuser-trainer-xla (needs cgo and a C compiler).")
	}
}

// plugins are the configuration strings of the plugins found by name.
func (r *report) plugins() (configs []string) {
	if !processor.XLA {
		return nil
	}
	for _, name := range processor.Plugins() {
		configs = append(configs, "xla:"+name)
	}
	if len(configs) == 0 {
		r.line("PJRT plugins", "none found by name (PJRT_PLUGIN_LIBRARY_PATH="+r.m.getenv("PJRT_PLUGIN_LIBRARY_PATH")+")")
		r.remedy("No PJRT plugin: name one, --backend xla:/path/to/plugin.so, or put pjrt_c_api_NAME_plugin.so into a folder of PJRT_PLUGIN_LIBRARY_PATH. " +
			"For the processor: python3 -m pip download --no-deps lammps-jax-pjrt-cpu==0.11.2, then unzip the .so. For NVIDIA: pip install 'jax[cuda13]==0.11.2'; the plugin is site-packages/jax_plugins/xla_cuda13/xla_cuda_plugin.so.")
	}
	return configs
}

// nvidia says what there is for a CUDA plugin.
func (r *report) nvidia(configs []string) {
	version, devices, described := r.m.driver()
	plugin := ""
	for _, c := range configs {
		if lower := strings.ToLower(c); strings.Contains(lower, "cuda") || strings.Contains(lower, "nvidia") {
			plugin, _, _ = strings.Cut(strings.TrimPrefix(c, "xla:"), ",")
		}
	}
	if version == "" && len(devices) == 0 && len(described) == 0 {
		r.line("NVIDIA", "no driver and no device")
		if plugin != "" {
			r.remedy("%s is a CUDA plugin, but there is no NVIDIA driver: /proc/driver/nvidia/version and /dev/nvidia0 are absent and nvidia-smi does not run. Install the driver; in a container, start it with the GPUs (docker run --gpus all).", plugin)
		}
		return
	}
	if version == "" {
		version = "not known"
	}
	r.line("NVIDIA driver", version)
	for i, d := range described {
		r.line(fmt.Sprintf("NVIDIA device %d", i), d)
	}
	if len(described) == 0 {
		r.line("NVIDIA devices", fmt.Sprintf("%d (nvidia-smi does not run, so no more is known)", len(devices)))
	}
	var found, missing []string
	for _, l := range libraries {
		if at := r.m.find(l, plugin); at != "" {
			found = append(found, at)
		} else {
			missing = append(missing, l)
		}
	}
	r.line("CUDA libraries", strings.Join(append(found, "not found: "+strings.Join(missing, " ")), "\n                "))
	if len(missing) > 0 {
		r.remedy("CUDA libraries are missing where a loader looks: %s. pip install 'jax[cuda13]==0.11.2' brings them; then with SP=…/site-packages: export XLA_FLAGS=--xla_gpu_cuda_data_dir=$SP/nvidia/cu13 GOPJRT_CUDA_CHECKS=0 "+
			"LD_LIBRARY_PATH=$SP/nvidia/cu13/lib:$SP/nvidia/cudnn/lib:$SP/nvidia/nccl/lib:$SP/nvidia/nvshmem/lib. libcuda.so.1 is the driver's own.", strings.Join(missing, ", "))
	}
	if !processor.XLA {
		return
	}
	if plugin == "" {
		r.remedy("There is an NVIDIA driver, but no CUDA plugin was named or found: --backend xla:…/site-packages/jax_plugins/xla_cuda13/xla_cuda_plugin.so (docs/gpu.md).")
	}
}

// backend opens one, lists its devices and measures it.
func (r *report) backend(config string) error {
	b, err := processor.Open(config)
	if err != nil {
		r.line("backend", config+": cannot be used")
		r.remedy("%v", err)
		return err
	}
	defer b.Finalize()
	r.line("backend", config+": can be used")
	if p, ok := processor.PluginOf(b); ok {
		r.line("", fmt.Sprintf("plugin %s, PJRT %d.%d (this binary's header %d.%d)", p.Path, p.Major, p.Minor, p.HeaderMajor, p.HeaderMinor))
		if p.Major != p.HeaderMajor {
			r.remedy("The plugin of %s speaks PJRT %d.%d, this binary %d.%d: another major version does not fit. Take a plugin of %d.x.", config, p.Major, p.Minor, p.HeaderMajor, p.HeaderMinor, p.HeaderMajor)
		}
		n := b.NumDevices()
		for d := range n {
			r.line("", fmt.Sprintf("device %d of %d: %s", d, n, b.DeviceDescription(compute.DeviceNum(d))))
		}
	}
	if r.o.Quick {
		return nil
	}
	for _, dtype := range []dtypes.DType{dtypes.Float32, dtypes.BFloat16} {
		found, n, err := flops.Rate(b, dtype, r.o.Size, 16*r.o.Size)
		if err != nil {
			r.line("", fmt.Sprintf("matrix product, %s: %v", strings.ToLower(dtype.String()), err))
			r.remedy("%s opens but cannot compute: %v", config, err)
			return fmt.Errorf("backend %q: %w", config, err)
		}
		r.line("", fmt.Sprintf("matrix product, %s, %d³: %.4g GFLOP/s", strings.ToLower(dtype.String()), n, found/1e9))
	}
	return nil
}

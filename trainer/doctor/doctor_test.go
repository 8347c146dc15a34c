package doctor

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
)

func files(texts map[string]string) fstest.MapFS {
	fs := fstest.MapFS{}
	for name, text := range texts {
		fs[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fs
}

// gpu is a machine with two NVIDIA devices and pip's libraries, but no cuDNN.
func gpu() machine {
	return machine{
		root: files(map[string]string{
			"proc/cpuinfo":               "processor\t: 0\nmodel name\t: Some Processor\nflags\t\t: fpu avx2 avx512f xyz\n\nprocessor\t: 1\n",
			"proc/meminfo":               "MemTotal:       67108864 kB\nMemFree:  1 kB\nMemAvailable:   33554432 kB\n",
			"sys/fs/cgroup/memory.max":   "17179869184\n",
			"proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23 10:11:16 UTC 2025\nGCC version: 12\n",
			"dev/nvidia0":                "",
			"dev/nvidia1":                "",
			"dev/nvidiactl":              "",
			"usr/lib64/libcuda.so.1":     "",
			"venv/site-packages/nvidia/cu13/lib/libcublas.so.13":           "",
			"venv/site-packages/nvidia/cu13/lib/libcudart.so.13":           "",
			"venv/site-packages/jax_plugins/xla_cuda13/xla_cuda_plugin.so": "",
		}),
		getenv: func(name string) string { return map[string]string{"LD_LIBRARY_PATH": "relative:/opt/lib"}[name] },
		run: func(string, ...string) (string, error) {
			return "NVIDIA H200, 143771 MiB, 4 MiB, 9.0, 580.95.05\nNVIDIA H200, 143771 MiB, 9 MiB, 9.0, 580.95.05\n", nil
		},
	}
}

func TestMachine(t *testing.T) {
	m := gpu()
	for what, got := range map[string]struct{ text, want string }{
		"processor": {m.processor(), "Some Processor, "},
		"features":  {m.processor(), ": avx2 avx512f"},
		"memory":    {m.memory(), "64.0 GiB, 32.0 GiB available, this container may use 16.0 GiB"},
	} {
		if !strings.Contains(got.text, got.want) {
			t.Errorf("%s: %q, want %q", what, got.text, got.want)
		}
	}
	if got := (machine{root: files(nil)}).memory(); !strings.Contains(got, "not known") {
		t.Errorf("memory of a machine without /proc: %q", got)
	}
}

// TestNVIDIA: driver, devices and libraries are listed, what is missing has its remedy.
func TestNVIDIA(t *testing.T) {
	var out bytes.Buffer
	r := report{o: Options{Out: &out}, m: gpu()}
	r.nvidia([]string{"xla:/venv/site-packages/jax_plugins/xla_cuda13/xla_cuda_plugin.so,preallocate=false"})
	for _, want := range []string{
		"NVIDIA driver   580.95.05\n", "NVIDIA device 1 NVIDIA H200, 143771 MiB, 9 MiB in use, compute capability 9.0\n",
		"/usr/lib64/libcuda.so.1\n", "/venv/site-packages/nvidia/cu13/lib/libcublas.so.13\n", "not found: libcudnn.so libnccl.so",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if len(r.remedies) != 1 || !strings.Contains(r.remedies[0], "libcudnn.so, libnccl.so") || strings.Contains(r.remedies[0], "libcublas.so,") {
		t.Errorf("remedies %q", r.remedies)
	}
}

// TestWithoutNVIDIA: a CUDA plugin without a driver is explained; a machine that has neither is no fault.
func TestWithoutNVIDIA(t *testing.T) {
	bare := machine{root: files(nil), getenv: func(string) string { return "" }, run: func(string, ...string) (string, error) { return "", errors.New("not there") }}
	for plugin, remedies := range map[string]int{"xla:/a/xla_cuda_plugin.so": 1, "xla:/a/pjrt_c_api_cpu_plugin.so": 0} {
		r := report{o: Options{Out: &bytes.Buffer{}}, m: bare}
		r.nvidia([]string{plugin})
		if len(r.remedies) != remedies {
			t.Errorf("%s: remedies %q, want %d", plugin, r.remedies, remedies)
		}
	}
}

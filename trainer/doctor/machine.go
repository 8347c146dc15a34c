package doctor

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// machine is where facts come from: the files of the root folder, environment variables, and programs' output.
type machine struct {
	root   fs.FS
	getenv func(string) string
	run    func(name string, args ...string) (string, error)
}

// features are the flags of /proc/cpuinfo that matrix products can use.
var features = []string{"avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16", "asimd", "sve", "bf16"}

// text reads a file, "" if there is none.
func (m machine) text(name string) string {
	b, err := fs.ReadFile(m.root, name)
	if err != nil {
		return ""
	}
	return string(b)
}

// field is the value behind a name and a colon at the start of a line.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// processor says what computes, and which of its vector instructions matter.
func (m machine) processor() string {
	info := m.text("proc/cpuinfo")
	name := field(info, "model name")
	if name == "" {
		name = "processor"
	}
	flags := strings.Fields(field(info, "flags") + " " + field(info, "Features"))
	var known []string
	for _, f := range features {
		if slices.Contains(flags, f) {
			known = append(known, f)
		}
	}
	if len(known) == 0 {
		known = []string{"no vector instructions known to matter"}
	}
	return fmt.Sprintf("%s, %d cores, GOMAXPROCS %d, %s/%s: %s", name, runtime.NumCPU(), runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH, strings.Join(known, " "))
}

// memory says how much there is, and a container's limit if that is less.
func (m machine) memory() string {
	info := m.text("proc/meminfo")
	total, available := kilobytes(field(info, "MemTotal")), kilobytes(field(info, "MemAvailable"))
	if total == 0 {
		return "not known: /proc/meminfo cannot be read"
	}
	text := fmt.Sprintf("%.1f GiB, %.1f GiB available", gib(total), gib(available))
	for _, name := range []string{"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if limit, err := strconv.ParseInt(strings.TrimSpace(m.text(name)), 10, 64); err == nil && limit < total {
			return text + fmt.Sprintf(", this container may use %.1f GiB", gib(limit))
		}
	}
	return text
}

// kilobytes reads "123 kB" as bytes.
func kilobytes(s string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSuffix(s, " kB"), 10, 64)
	return n << 10
}

func gib(bytes int64) float64 { return float64(bytes) / (1 << 30) }

// driver is what this machine has of NVIDIA's: the kernel driver's version, devices, and what nvidia-smi says of them.
func (m machine) driver() (version string, devices, described []string) {
	if v := regexp.MustCompile(`(?m)^NVRM version:.*?\s(\d+\.\d[\d.]*)`).FindStringSubmatch(m.text("proc/driver/nvidia/version")); v != nil {
		version = v[1]
	}
	devices, _ = fs.Glob(m.root, "dev/nvidia[0-9]*") // a fixed pattern
	out, err := m.run("nvidia-smi", "--query-gpu=name,memory.total,memory.used,compute_cap,driver_version", "--format=csv,noheader")
	if err != nil {
		return version, devices, nil
	}
	for line := range strings.Lines(out) {
		parts := strings.Split(strings.TrimSpace(line), ", ")
		if len(parts) != 5 {
			continue
		}
		if version == "" {
			version = parts[4]
		}
		described = append(described, fmt.Sprintf("%s, %s, %s in use, compute capability %s", parts[0], parts[1], parts[2], parts[3]))
	}
	return version, devices, described
}

// libraries are the shared libraries that a CUDA plugin opens when it is loaded or first computes. Only the driver's must be the system's; the others
// come with pip next to the plugin.
var libraries = []string{"libcuda.so.1", "libcudart.so", "libcublas.so", "libcudnn.so", "libnccl.so", "libnvshmem_host.so", "libcupti.so", "libcusparse.so", "libcusolver.so", "libcufft.so"}

// find looks for a library in the folders where the loader and a plugin at a path look: LD_LIBRARY_PATH, the system's, and
// pip's nvidia/*/lib in the site-packages that hold the plugin.
func (m machine) find(library, plugin string) string {
	for _, dir := range m.libraryFolders(plugin) {
		at, _ := fs.Glob(m.root, path.Join(strings.TrimPrefix(dir, "/"), library+"*")) // a folder with a bracket is not looked into
		if len(at) > 0 {
			return "/" + at[0]
		}
	}
	return ""
}

func (m machine) libraryFolders(plugin string) []string {
	folders := strings.Split(m.getenv("LD_LIBRARY_PATH"), ":")
	if plugin != "" {
		for dir := path.Dir(plugin); len(dir) > 1; dir = path.Dir(dir) {
			at, _ := fs.Glob(m.root, strings.TrimPrefix(path.Join(dir, "nvidia", "*", "lib"), "/"))
			for _, a := range at {
				folders = append(folders, "/"+a)
			}
		}
	}
	folders = append(folders, "/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/nvidia/lib64", "/usr/local/cuda/lib64", "/usr/lib/wsl/lib")
	return slices.DeleteFunc(folders, func(f string) bool { return !path.IsAbs(f) })
}

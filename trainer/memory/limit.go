package memory

import (
	"bufio"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Limit is how much memory this process may have, in bytes, and what says so: the least of what /proc/meminfo calls
// available and the limits of the process's control groups. root is the file system's root. 0 means that nothing says it.
func Limit(root fs.FS) (bytes int64, source string) {
	take := func(n int64, from string) {
		if n > 0 && (bytes == 0 || n < bytes) {
			bytes, source = n, from
		}
	}
	if f, err := root.Open("proc/meminfo"); err == nil {
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			var kilobytes int64
			if _, err := fmt.Sscanf(lines.Text(), "MemAvailable: %d kB", &kilobytes); err == nil {
				take(kilobytes<<10, "/proc/meminfo")
			}
		}
		_ = f.Close() // only read
	}
	for _, name := range groups(root) {
		b, err := fs.ReadFile(root, name)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil {
			take(n, "/"+name)
		}
	}
	return bytes, source
}

// Accelerator is the memory of the smallest NVIDIA device in bytes, as nvidia-smi says, 0 where it cannot say. run runs a
// program and returns its output.
func Accelerator(run func(name string, args ...string) (string, error)) int64 {
	out, err := run("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
	if err != nil {
		return 0
	}
	var least int64
	for line := range strings.Lines(out) {
		mebibytes, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		if err == nil && (least == 0 || mebibytes<<20 < least) {
			least = mebibytes << 20
		}
	}
	return least
}

// groups are the files that may hold a control group's limit: those of the process's group and all above it.
func groups(root fs.FS) []string {
	names := []string{"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"}
	b, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return names
	}
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for at := path.Clean("/" + parts[2]); at != "/"; at = path.Dir(at) {
			switch {
			case parts[0] == "0":
				names = append(names, "sys/fs/cgroup"+at+"/memory.max")
			case parts[1] == "memory":
				names = append(names, "sys/fs/cgroup/memory"+at+"/memory.limit_in_bytes")
			}
		}
	}
	return names
}

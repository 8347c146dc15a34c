package memory

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/models/processor"
	"github.com/profuser/profuser/trainer/loop"
	"github.com/profuser/profuser/trainer/lora"
	"github.com/profuser/profuser/trainer/optim"
	"github.com/profuser/profuser/trainer/trainertest"
)

// TestFollow follows buffers of 1 KiB by hand: what is alive at each operation.
func TestFollow(t *testing.T) {
	backend, err := processor.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Finalize()
	constant := make([][]float32, 16)
	for i := range constant {
		constant[i] = make([]float32, 16)
	}
	for name, c := range map[string]struct {
		build func(x *Node) []*Node
		want  int64
	}{
		"a product":                       {func(x *Node) []*Node { return []*Node{Dot(x, x).MatMul()} }, 1},
		"a chain, two at a time":          {func(x *Node) []*Node { return []*Node{chain(x, 5)} }, 2},
		"elementwise, in place":           {func(x *Node) []*Node { return []*Node{Neg(Abs(Dot(x, x).MatMul()))} }, 1},
		"elementwise of an input":         {func(x *Node) []*Node { return []*Node{Neg(x)} }, 1},
		"a value kept to the end":         {func(x *Node) []*Node { y := Dot(x, x).MatMul(); return []*Node{Add(Dot(chain(y, 3), x).MatMul(), y)} }, 3},
		"two results":                     {func(x *Node) []*Node { y := Dot(x, x).MatMul(); return []*Node{y, Dot(y, x).MatMul()} }, 2},
		"what no result needs is none":    {func(x *Node) []*Node { chain(x, 9); return []*Node{Dot(x, x).MatMul()} }, 1},
		"a sum before what it is of goes": {func(x *Node) []*Node { return []*Node{BroadcastToDims(ReduceSum(Dot(x, x).MatMul(), 1), 16, 16)} }, 1},
		"a constant is not of the pass": {func(x *Node) []*Node {
			return []*Node{Dot(Dot(x, Const(x.Graph(), constant)).MatMul(), x).MatMul()}
		}, 2},
	} {
		p, err := PassOf(backend, model.NewStore(), func(_ *model.Scope, in []*Node) ([]*Node, map[string]*Node) {
			return c.build(in[0]), nil
		}, []shapes.Shape{shapes.Make(dtypes.Float32, 16, 16)})
		if got := p.Peak - 1024; err != nil || (got+64)/1024 != c.want {
			t.Errorf("%s: %d bytes beside the input, want about %d KiB (%v)", name, got, c.want, err)
		}
		if constant := strings.HasPrefix(name, "a constant"); constant != (p.Constants == 1024) {
			t.Errorf("%s: %d bytes of constants", name, p.Constants)
		}
	}
	_, err = PassOf(backend, model.NewStore(), func(_ *model.Scope, in []*Node) ([]*Node, map[string]*Node) { panic("no") }, nil)
	if err == nil || !strings.Contains(err.Error(), "no") {
		t.Errorf("a panic becomes %v", err)
	}
}

// chain multiplies n times.
func chain(x *Node, n int) *Node {
	y := x
	for range n {
		y = Dot(y, x).MatMul()
	}
	return y
}

// training is that of a tiny Llama on a loss over all positions.
func training(t *testing.T) Training {
	t.Helper()
	c, err := decoder.ParseConfig([]byte(trainertest.Llama))
	if err != nil {
		t.Fatal(err)
	}
	backend, err := processor.Open("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(backend.Finalize)
	return Training{
		Config: c, Moments: optim.Float32, Backend: backend, Passes: 2, Positions: 2048,
		Build: func(c decoder.Config) loop.Build {
			return func(scope *model.Scope, in []*Node) ([]*Node, map[string]*Node) {
				n := loop.NewNetwork(scope, c, in[0])
				logits, back := n.Rows(in[1], "")
				back(logits)
				return nil, n.Gradients()
			}
		},
		Shapes: func(positions int) [][]shapes.Shape {
			rows := max(1, positions/32)
			return [][]shapes.Shape{{shapes.Make(dtypes.Int32, 1, 32), shapes.Make(dtypes.Int32, 8)}, {shapes.Make(dtypes.Int32, rows, 32), shapes.Make(dtypes.Int32, rows*32)}}
		},
	}
}

func of(t *testing.T, c Training) Estimate {
	t.Helper()
	e, err := c.Of()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestOf counts what is there all the time, and compares settings.
func TestOf(t *testing.T) {
	c := training(t)
	const weights = 360*16 + 16 + 2*(2*16+4*16*16+3*16*24)
	full := of(t, c)
	if full.Weights != 4*weights || full.Gradients != 4*weights || full.Moments != 8*weights {
		t.Errorf("full: %+v, want %d weights", full, weights)
	}
	if logits := int64(4 * 2048 * 360); full.Pass.Peak < 2*logits || full.Pass.Peak > 20*logits {
		t.Errorf("a pass holds %d bytes, its logits are %d", full.Pass.Peak, logits)
	}
	if full.Shape[0] != 64 || full.Shape[1] != 32 {
		t.Errorf("the largest micro-batch is %v", full.Shape)
	}
	c.Moments = optim.BFloat16
	if e := of(t, c); 2*e.Moments != full.Moments || e.Host() != full.Host()-4*weights {
		t.Errorf("bfloat16 moments: %+v", e)
	}
	c.Positions = 512
	if e := of(t, c); 3*e.Pass.Peak > full.Pass.Peak {
		t.Errorf("a quarter of the positions holds %d of %d bytes", e.Pass.Peak, full.Pass.Peak)
	}
	c = training(t)
	c.Config.Compute.Recompute = true
	if e := of(t, c); e.Pass.Peak >= full.Pass.Peak {
		t.Errorf("with gradient checkpointing a pass holds %d bytes, without %d", e.Pass.Peak, full.Pass.Peak)
	}
	c = training(t)
	c.LoRA = &lora.Options{Rank: 2, Alpha: 2, Targets: []string{"q_proj", "down_proj"}}
	const factors = 2 * 2 * (16 + 16 + 16 + 24)
	if e := of(t, c); e.Gradients != 4*factors || e.Moments != 8*factors || e.Weights != 4*(weights+factors)+4 {
		t.Errorf("adapters: %+v, want %d values", e, factors)
	}
	c.Copies = 3
	if e := of(t, c); e.Copies != 2*e.Weights || !strings.Contains(e.String(), "for other devices") {
		t.Errorf("three devices: %+v", e)
	}
	c.Copies, c.Accelerator = 1, true
	if e := of(t, c); e.Device() != e.Weights+e.passes() || e.Host() != base+e.Weights+e.Gradients+e.Moments {
		t.Errorf("on an accelerator: %+v", e)
	}
}

// TestCheck: what an error says would fit does, and what it does not say does not.
func TestCheck(t *testing.T) {
	c := training(t)
	full := of(t, c)
	if err := c.Check(full, Room{Host: full.Host(), HostSource: "x"}); err != nil {
		t.Errorf("what fits exactly: %v", err)
	}
	if err := c.Check(full, Room{}); err != nil {
		t.Errorf("room that is not known: %v", err)
	}
	one := c
	one.Passes = 1
	narrow := c
	narrow.Moments = optim.BFloat16
	for name, r := range map[string]struct {
		room      int64
		has, lack []string
	}{
		"a bit less":    {of(t, narrow).Host(), []string{"GOMAXPROCS=1", "micro_positions: 512", "moments: bfloat16", "lora.rank: 16"}, []string{"with"}},
		"one at a time": {of(t, one).Host(), []string{"would fit: GOMAXPROCS=1 in the environment (", "micro_positions: 512"}, []string{"moments: bfloat16"}},
		"nothing":       {1 << 20, []string{"no setting known here makes it fit, the least is GOMAXPROCS=1 in the environment with "}, []string{"would fit"}},
	} {
		err := c.Check(full, Room{Host: r.room, HostSource: "/proc/meminfo"})
		if err == nil || !strings.Contains(err.Error(), "that /proc/meminfo allows") || !strings.Contains(err.Error(), "--force") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, text := range r.has {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v does not say %q", name, err, text)
			}
		}
		for _, text := range r.lack {
			if strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v says %q", name, err, text)
			}
		}
	}
	c.Accelerator = true
	on := of(t, c)
	if err := c.Check(on, Room{Device: on.Device() - 1, DeviceSource: "nvidia-smi"}); err == nil || !strings.Contains(err.Error(), "accelerator's memory, more than the") || !strings.Contains(err.Error(), "that nvidia-smi allows") {
		t.Errorf("an accelerator: %v", err)
	}
}

func TestLimit(t *testing.T) {
	info := &fstest.MapFile{Data: []byte("MemTotal:       8000 kB\nMemAvailable:   4000 kB\n")}
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for name, c := range map[string]struct {
		root   fstest.MapFS
		want   int64
		source string
	}{
		"nothing":          {fstest.MapFS{}, 0, ""},
		"the machine":      {fstest.MapFS{"proc/meminfo": info}, 4000 << 10, "/proc/meminfo"},
		"no limit":         {fstest.MapFS{"proc/meminfo": info, "sys/fs/cgroup/memory.max": file("max\n")}, 4000 << 10, "/proc/meminfo"},
		"a container":      {fstest.MapFS{"proc/meminfo": info, "sys/fs/cgroup/memory.max": file("1000000\n")}, 1000000, "/sys/fs/cgroup/memory.max"},
		"a larger one":     {fstest.MapFS{"proc/meminfo": info, "sys/fs/cgroup/memory.max": file("900000000\n")}, 4000 << 10, "/proc/meminfo"},
		"the old kind":     {fstest.MapFS{"proc/meminfo": info, "sys/fs/cgroup/memory/memory.limit_in_bytes": file("5000\n")}, 5000, "/sys/fs/cgroup/memory/memory.limit_in_bytes"},
		"a group above":    {fstest.MapFS{"proc/meminfo": info, "proc/self/cgroup": file("0::/a.slice/b\n"), "sys/fs/cgroup/a.slice/memory.max": file("7000")}, 7000, "/sys/fs/cgroup/a.slice/memory.max"},
		"old, a group":     {fstest.MapFS{"proc/meminfo": info, "proc/self/cgroup": file("3:cpu:/x\n9:memory:/job\n"), "sys/fs/cgroup/memory/job/memory.limit_in_bytes": file("8000")}, 8000, "/sys/fs/cgroup/memory/job/memory.limit_in_bytes"},
		"groups are noise": {fstest.MapFS{"proc/meminfo": info, "proc/self/cgroup": file("what\n")}, 4000 << 10, "/proc/meminfo"},
	} {
		if n, source := Limit(c.root); n != c.want || source != c.source {
			t.Errorf("%s: %d by %s, want %d by %s", name, n, source, c.want, c.source)
		}
	}
}

func TestAccelerator(t *testing.T) {
	for output, want := range map[string]int64{"": 0, "143771\n": 143771 << 20, "81559\n40960\n": 40960 << 20, "[N/A]\n": 0} {
		if got := Accelerator(func(string, ...string) (string, error) { return output, nil }); got != want {
			t.Errorf("%q: %d bytes, want %d", output, got, want)
		}
	}
	if got := Accelerator(func(string, ...string) (string, error) { return "1\n", os.ErrNotExist }); got != 0 {
		t.Errorf("without nvidia-smi: %d bytes", got)
	}
}

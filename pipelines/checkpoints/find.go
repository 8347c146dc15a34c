package checkpoints

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/report/records"
	"github.com/profuser/profuser/pipelines/wanted"
)

// checkpoint is a model at a moment of its training.
type checkpoint struct {
	name string
	// dir is its folder, "" for a target that is served; shown is what the results call it.
	dir, shown string
	at         moment
}

// moment is when that is: epochs and steps count over all stages, 0 is the target before training.
type moment struct {
	Epoch int    `json:"epoch"`
	Step  int    `json:"step"`
	Stage string `json:"stage"`
}

// find lists the checkpoints of a run, whose folder is out ("" in a bucket, which has none), in the order of training.
func find(c *config.Config, out string) ([]checkpoint, error) {
	target, _ := c.Model(c.Target.Model)
	first := checkpoint{name: target.Name, dir: target.Path, shown: target.Path}
	if target.Endpoint != nil {
		first.shown = target.Endpoint.Model
	}
	list := []checkpoint{first}
	if out == "" {
		return list, nil
	}
	ends, err := ends(filepath.Join(out, "trainer", "metrics.jsonl"))
	if err != nil {
		return nil, err
	}
	last := 0
	for epoch := range ends {
		last = max(last, epoch)
	}
	epochs, err := kept(filepath.Join(out, "trainer", "epochs"))
	if err != nil {
		return nil, err
	}
	at := func(epoch int) moment {
		m := ends[epoch]
		m.Epoch = epoch
		return m
	}
	for _, epoch := range epochs {
		dir := filepath.Join(out, "trainer", "epochs", strconv.Itoa(epoch))
		list = append(list, checkpoint{name: fmt.Sprintf("epoch-%d", epoch), dir: dir, shown: dir, at: at(epoch)})
	}
	final := filepath.Join(out, "model")
	if _, err := os.Stat(filepath.Join(final, "config.json")); err == nil && (last == 0 || !slices.Contains(epochs, last)) {
		if last == 0 { // trained elsewhere, or its metrics were removed
			last = list[len(list)-1].at.Epoch + 1
		}
		list = append(list, checkpoint{name: wanted.Fused, dir: final, shown: final, at: at(last)})
	}
	return list, nil
}

// kept are the numbers of the epochs that have a whole model in a folder. What is half written has another name.
func kept(folder string) (epochs []int, err error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("looking for the models of epochs: %w", err)
	}
	for _, e := range entries {
		epoch, err := strconv.Atoi(e.Name())
		if err != nil || epoch < 1 || strconv.Itoa(epoch) != e.Name() {
			continue
		}
		if _, err := os.Stat(filepath.Join(folder, e.Name(), "config.json")); err == nil {
			epochs = append(epochs, epoch)
		}
	}
	slices.Sort(epochs)
	return epochs, nil
}

// ends are the last steps of the epochs in a metrics.jsonl; a missing file has none.
func ends(path string) (map[int]moment, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading the training's metrics: %w", err)
	}
	lines, err := records.Parse[moment](data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	found := map[int]moment{}
	for _, m := range lines {
		if m.Epoch > 0 && m.Step >= found[m.Epoch].Step {
			found[m.Epoch] = m
		}
	}
	return found, nil
}

// folder is the checkpoint of a folder, of whatever run. Its name holds a piece of the digest of its files, so that models of
// folders with one name stand side by side.
func folder(dir string) (checkpoint, error) {
	digest, err := wanted.DigestModel(dir)
	if err != nil {
		return checkpoint{}, fmt.Errorf("flag --model: %w", err)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return checkpoint{}, err
	}
	base := strings.Map(func(r rune) rune {
		if strings.ContainsRune("-._", r) || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '-'
	}, filepath.Base(absolute))
	return checkpoint{name: base + "-" + digest[:8], dir: dir, shown: dir}, nil
}

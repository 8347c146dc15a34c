package board

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rewrite makes the golden files anew: go test ./trainer/board -rewrite, then testdata/read.py.
var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

// sample writes two runs into a folder, the second one going on after step 2 of the first one's 3.
func sample(t *testing.T, dir string) {
	t.Helper()
	seconds := int64(1_750_000_000)
	now := func() time.Time { return time.Unix(seconds, 250e6) }
	for run := range 2 {
		w, err := open(dir, 2*run, now)
		if err != nil {
			t.Fatal(err)
		}
		for step := 2*run + 1; step <= 3+run; step++ {
			seconds++
			err := w.Scalars(step, Scalar{"loss/inference", 1 / float64(step+run)}, Scalar{"loss/training", math.NaN()}, Scalar{"optimizer/learning_rate", 1e-5 * float64(step)})
			if err == nil {
				err = w.Scalars(step, Scalar{"empty", math.Inf(1)})
			}
			if err == nil && step == 2 {
				err = w.Text(step, "sample/0", "**Q** What is 1 plus 2?\n\n**A** „3“")
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGolden compares the bytes with committed ones, of which TensorBoard's own reader has said what they mean:
// testdata/read.py wrote read.json.
func TestGolden(t *testing.T) {
	dir := t.TempDir()
	sample(t, dir)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		got, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", f.Name())
		if *rewrite {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from the golden file:\n%s", f.Name(), hex.Dump(got))
		}
	}
}

// TestForeignReader: what TensorBoard's reader found in the golden files is what was written: the first run's third step is
// gone, the second run's is there, numbers that are not finite are missing.
func TestForeignReader(t *testing.T) {
	data, err := os.ReadFile("testdata/read.json")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Scalars map[string][][2]float64 `json:"scalars"`
		Texts   map[string][][2]any     `json:"texts"`
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string][][2]float64{
		"loss/inference":          {{1, 1}, {2, 0.5}, {3, 0.25}, {4, 0.2}},
		"optimizer/learning_rate": {{1, 1e-5}, {2, 2e-5}, {3, 3e-5}, {4, 4e-5}},
	}
	near := cmp.Comparer(func(x, y float64) bool { return math.Abs(x-y) <= 1e-6*math.Abs(x) })
	if diff := cmp.Diff(want, got.Scalars, near); diff != "" {
		t.Errorf("scalars (-written +read):\n%s", diff)
	}
	if diff := cmp.Diff(map[string][][2]any{"sample/0": {{2.0, "**Q** What is 1 plus 2?\n\n**A** „3“"}}}, got.Texts); diff != "" {
		t.Errorf("texts (-written +read):\n%s", diff)
	}
}

// TestMasked: known values of CRC-32C (RFC 3720, B.4), masked as LevelDB does.
func TestMasked(t *testing.T) {
	for crc, data := range map[uint32][]byte{0x8a9136aa: make([]byte, 32), 0x62a8ab43: bytes.Repeat([]byte{0xff}, 32)} {
		if got := masked(data) - 0xa282ead8; got<<15|got>>17 != crc {
			t.Errorf("the checksum under the mask is %#x, want %#x", got<<15|got>>17, crc)
		}
	}
}

// TestRecord: lengths and checksums stand where a reader looks for them.
func TestRecord(t *testing.T) {
	all := appendRecord(appendRecord(nil, []byte("one")), []byte("seventeen"))
	var got []string
	for len(all) > 0 {
		n := binary.LittleEndian.Uint64(all)
		if binary.LittleEndian.Uint32(all[8:]) != masked(all[:8]) || binary.LittleEndian.Uint32(all[12+n:]) != masked(all[12:12+n]) {
			t.Fatal("a checksum is wrong")
		}
		got = append(got, string(all[12:12+n]))
		all = all[16+n:]
	}
	if strings.Join(got, " ") != "one seventeen" {
		t.Errorf("records %v", got)
	}
}

// TestOpenRefuses: a folder that cannot be made is an error with its name, on one line.
func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "events"), 0); err == nil || !strings.Contains(err.Error(), file) || strings.Contains(fmt.Sprint(err), "\n") {
		t.Errorf("got %v", err)
	}
}

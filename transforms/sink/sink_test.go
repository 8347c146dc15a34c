package sink_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/google/go-cmp/cmp"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/sink"
	"github.com/profuser/profuser/transforms/tally"
	"github.com/profuser/profuser/transforms/transformtest"
)

func TestMain(m *testing.M) { os.Exit(transformtest.Main(m)) }

func init() { sink.Register[numbers]() }

// numbers writes parts of ten prompts; BadPart fails.
type numbers struct {
	BadPart int
}

var made atomic.Int64

func (numbers) Name() string       { return "numbers" }
func (numbers) Datasets() []string { return []string{"prompts"} }

func (n numbers) Make(_ context.Context, _ *sink.Inputs, part int, counts *tally.Tally) ([][]byte, error) {
	if part == n.BadPart {
		return nil, errors.New("no such luck\nat all")
	}
	made.Add(1)
	var rows []schemas.Prompt
	for i := range 10 {
		messages := []schemas.Message{{Role: schemas.RoleUser, Content: fmt.Sprintf("part %d row %d", part, i)}}
		rows = append(rows, schemas.Prompt{ID: schemas.PromptID(messages), Messages: messages})
		counts.Row()
	}
	data, err := dataset.EncodePart(rows, dataset.Footer{Part: part, ConfigDigest: "c"})
	return [][]byte{data}, err
}

func run(url string, bad int, parts ...int) (beam.PipelineResult, error) {
	p, s := beam.NewPipelineWithRoot()
	done := sink.Write(s, numbers{BadPart: bad}, url, 4, sink.Numbers(s, parts, 1))
	sink.Commit(s, url, []string{"prompts"}, dataset.CommitOptions{Parts: 7}, done)
	return ptest.RunWithMetrics(p)
}

func TestWriteMakesTheMissingPartsAndCommits(t *testing.T) {
	url := t.TempDir()
	store, err := dataset.OpenStore(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if err := dataset.Begin(t.Context(), store, "prompts", dataset.Header{Schema: schemas.PromptSchema, ConfigDigest: "c"}); err != nil {
		t.Fatal(err)
	}
	_, err = run(url, 3, 0, 1, 2, 3)
	text, ok := sink.FaultText(err)
	if want := "numbers part 3: no such luck"; !ok || text != want {
		t.Errorf("fault %q of error %v, want %q", text, err, want)
	}
	result, err := run(url, -1, 0, 1, 2, 3, 4, 5, 6)
	if err != nil {
		t.Fatal(err)
	}
	d, err := dataset.Open(t.Context(), store, "prompts")
	if err != nil {
		t.Fatal(err)
	}
	if d.Manifest.Rows != 70 || made.Load() < 7 {
		t.Errorf("%d rows committed, %d parts made, want 70 and at least 7", d.Manifest.Rows, made.Load())
	}
	counters := map[string]int64{}
	metrics := result.Metrics()
	for _, c := range metrics.AllMetrics().Counters() {
		counters[c.Key.Namespace+"/"+c.Key.Name] += c.Result()
	}
	if counters["profuser/parts"] != 7 || counters["profuser/rows"]%10 != 0 {
		t.Errorf("counters %v", counters)
	}
}

func TestRanges(t *testing.T) {
	got := sink.Ranges([]int{5, 0, 1, 9, 2, 6})
	if diff := cmp.Diff([]sink.Range{{0, 3}, {5, 7}, {9, 10}}, got); diff != "" {
		t.Errorf("ranges (-want +got):\n%s", diff)
	}
}

func TestFault(t *testing.T) {
	if sink.Fault(nil) != nil {
		t.Error("a fault of nothing")
	}
	err := fmt.Errorf("job failed:\n%s\nplan: …", sink.Fault(errors.New("part 3: disk full\nstack")).Error())
	if text, ok := sink.FaultText(errors.New(err.Error())); !ok || text != "part 3: disk full" {
		t.Errorf("text %q", text)
	}
	if _, ok := sink.FaultText(errors.New("other")); ok {
		t.Error("a fault in a text without one")
	}
	if !strings.Contains(sink.Fault(errors.New("x")).Error(), "x") {
		t.Error("the text is lost")
	}
}

package progress

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/profuser/profuser/schemas"
)

// get fetches a path of a board's handler.
func get(t *testing.T, b *Board, path string) (status int, kind, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(b, "out/demo", func() []schemas.Rejected { return rejects }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Header().Get("Content-Type"), w.Body.String()
}

var (
	sampleLine = regexp.MustCompile(`^([a-z_]+)\{((?:[a-z]+="(?:[^"\\\n]|\\[\\n"])*",?)*)\} (\S+)$`)
	labelPair  = regexp.MustCompile(`([a-z]+)="((?:[^"\\\n]|\\[\\n"])*)"`)
)

// parseMetrics reads Prometheus' text format: values by name and labels. It demands HELP and TYPE before the samples of
// each family, no sample twice, and histograms that are cumulative and end with +Inf.
func parseMetrics(t *testing.T, text string) map[string]float64 {
	t.Helper()
	values := map[string]float64{}
	help, kind := map[string]bool{}, map[string]string{}
	last := map[string]float64{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if fields := strings.SplitN(line, " ", 4); strings.HasPrefix(line, "#") {
			if len(fields) < 4 {
				t.Fatalf("comment %q", line)
			}
			if fields[1] == "HELP" {
				help[fields[2]] = true
			} else {
				kind[fields[2]] = fields[3]
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("no sample: %q", line)
		}
		name := m[1]
		if base, part, ok := cutHistogram(name); ok && kind[base] == "histogram" {
			name = base
			step := labelPair.FindStringSubmatch(m[2])[2]
			value, _ := strconv.ParseFloat(m[3], 64)
			if part == "bucket" && value < last[step] {
				t.Errorf("bucket falls: %s", line)
			}
			if part == "sum" {
				value = last[step]
			}
			if part == "count" && value != last[step] {
				t.Errorf("count differs from the last bucket %g: %s", last[step], line)
			}
			last[step] = value
		}
		if !help[name] || kind[name] == "" {
			t.Errorf("%s has no HELP or TYPE before it", name)
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			t.Errorf("value of %q: %v", line, err)
		}
		key := m[1] + "{" + m[2] + "}"
		if _, twice := values[key]; twice {
			t.Errorf("%s stands twice", key)
		}
		values[key] = value
	}
	return values
}

func cutHistogram(name string) (base, part string, ok bool) {
	for _, part := range []string{"bucket", "sum", "count"} {
		if base, found := strings.CutSuffix(name, "_"+part); found {
			return base, part, true
		}
	}
	return name, "", false
}

func TestMetrics(t *testing.T) {
	b, _ := scene()
	b.Begin("a \"step\"\nwith \\", Work{})
	status, kind, body := get(t, b, "/metrics")
	if status != http.StatusOK || !strings.HasPrefix(kind, "text/plain; version=0.0.4") {
		t.Errorf("status %d, type %s", status, kind)
	}
	values := parseMetrics(t, body)
	const step = `step="generate llama-2-7b-chat"`
	for key, want := range map[string]float64{
		"profuser_rows_total{" + step + "}": 600, "profuser_rows{" + step + "}": 60000, "profuser_parts_done{" + step + "}": 2, "profuser_parts{" + step + "}": 235,
		"profuser_rejects_total{" + step + `,code="too_long"}`: 3, "profuser_rejected_rows_total{" + step + "}": 3,
		"profuser_tokens_total{" + step + `,kind="text"}`: 180000, "profuser_tokens_total{" + step + `,kind="prompt"}`: 120000,
		"profuser_calls_in_flight{" + step + "}": 64, "profuser_call_seconds_count{" + step + "}": 600,
		"profuser_call_seconds_bucket{" + step + `,le="1.5"}`: 300, "profuser_call_seconds_bucket{" + step + `,le="+Inf"}`: 600,
		"profuser_call_seconds_sum{" + step + "}": 300*1.25 + 300*2.5, "profuser_seconds_left{" + step + "}": 1485,
		"profuser_step_state{" + step + `,state="running"}`: 1, "profuser_step_state{" + step + `,state="done"}`: 0,
		`profuser_rows_total{step="a \"step\"\nwith \\"}`: 0,
	} {
		if got, ok := values[key]; !ok || got != want {
			t.Errorf("%s is %g (present %v), want %g", key, got, ok, want)
		}
	}
	if left := values[`profuser_seconds_left{step="fuse"}`]; !math.IsNaN(left) {
		t.Errorf("a waiting step has %g seconds left", left)
	}
}

func TestPage(t *testing.T) {
	b, _ := scene()
	status, kind, body := get(t, b, "/")
	if status != http.StatusOK || kind != "text/html; charset=utf-8" {
		t.Errorf("status %d, type %s", status, kind)
	}
	for _, want := range []string{"2 of 6 steps done", "generate llama-2-7b-chat", "600/60,000", "1.5s", "24m45s left", "too_long", "0123456789ab", "&lt;script&gt;alert", "prefers-color-scheme: dark"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if found := regexp.MustCompile(`(src|href)="[^"]`).FindString(body); found != "" || strings.Contains(body, "<script>alert") {
		t.Errorf("the page loads something (%q), or runs a reject's text", found)
	}
	if status, _, body := get(t, b, "/healthz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz: %d %q", status, body)
	}
	if status, _, _ := get(t, b, "/other"); status != http.StatusNotFound {
		t.Errorf("/other: %d", status)
	}
}

func TestServe(t *testing.T) {
	b, _ := scene()
	h := Handler(b, "out", func() []schemas.Rejected { return nil })
	url, stop, err := Serve("127.0.0.1:0", h)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := http.Get(url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(reply.Body)
	_ = reply.Body.Close()
	if string(text) != "ok\n" {
		t.Errorf("/healthz says %q", text)
	}
	_, _, err = Serve(strings.TrimPrefix(url, "http://"), h)
	if err == nil || !strings.Contains(err.Error(), "another port") {
		t.Errorf("a port in use: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get(url); err == nil {
		t.Error("answers after its end")
	}
	for _, addr := range []string{"9090", "localhost:http/x", "256.0.0.1:80"} {
		if _, _, err := Serve(addr, h); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("--metrics-addr %q", addr)) {
			t.Errorf("address %s: %v", addr, err)
		}
	}
}

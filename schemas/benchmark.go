package schemas

import (
	"fmt"
	"math"
)

// BenchmarkItem is one item of a public benchmark as a model is asked.
type BenchmarkItem struct {
	// Task is the benchmark's name.
	Task string `parquet:"task"`
	// Subject is MMLU's, "" elsewhere.
	Subject string `parquet:"subject"`
	// DocID is the item's place in its file, from 0.
	DocID int32 `parquet:"doc_id"`
	// Contexts is the text before the answer: one for all continuations, or one for each.
	Contexts []string `parquet:"contexts,list"`
	// Continuations are the texts that the model scores, empty where it writes.
	Continuations []string `parquet:"continuations,list"`
	// Answers are the answers to choose from as the file has them, as many as continuations; the worked solution where the
	// model writes.
	Answers []string `parquet:"answers,list"`
	// Gold is the right answer's place in Answers.
	Gold int32 `parquet:"gold"`
	// Right says of each answer whether it is right, where several are; empty elsewhere.
	Right []bool `parquet:"right,list"`
}

// Validate checks names, UTF-8, and that the lists go with one another. The first fault is a *Fault.
func (b *BenchmarkItem) Validate() error { return b.check("benchmark_item").err() }

func (b *BenchmarkItem) check(record string) *check {
	c := &check{record: record, id: fmt.Sprint(b.DocID)}
	c.that(b.DocID >= 0, "doc_id", b.DocID, "0 or more")
	c.name("task", b.Task)
	c.text("subject", b.Subject)
	n := len(b.Continuations)
	c.that(len(b.Contexts) == 1 || len(b.Contexts) == n && n > 0, "contexts", len(b.Contexts), "one, or as many as continuations")
	c.that(len(b.Answers) == max(n, 1), "continuations", n, "as many as answers, or none for one answer")
	c.that(len(b.Right) == 0 || len(b.Right) == n, "right", len(b.Right), "none, or as many as continuations")
	c.that(b.Gold >= 0 && int(b.Gold) < len(b.Answers), "gold", b.Gold, "a place in answers")
	for column, texts := range map[string][]string{"contexts": b.Contexts, "continuations": b.Continuations, "answers": b.Answers} {
		for i, text := range texts {
			c.text(fmt.Sprintf("%s[%d]", column, i), text)
		}
	}
	return c
}

// Metric is one measure of an item.
type Metric struct {
	// Name is the metric's, such as acc_norm.
	Name string `parquet:"name"`
	// Value is in [0, 1].
	Value float64 `parquet:"value"`
}

// BenchmarkScore is an item with what the model gave and how it is marked.
type BenchmarkScore struct {
	BenchmarkItem
	// LogLikelihoods are the sums of the log-probs of each continuation's tokens, in nats.
	LogLikelihoods []float64 `parquet:"lls,list"`
	// Text is what the model wrote, up to the first stop; "" where it scored.
	Text string `parquet:"text"`
	// Metrics are the item's, in the task's order.
	Metrics []Metric `parquet:"metrics,list"`
}

// Validate checks the item, one log-likelihood of 0 or less a continuation, and metrics. The first fault is a *Fault.
func (s *BenchmarkScore) Validate() error {
	c := s.check("benchmark_score")
	c.that(len(s.LogLikelihoods) == len(s.Continuations), "lls", len(s.LogLikelihoods), "as many as continuations")
	for i, l := range s.LogLikelihoods {
		c.at(l <= 0, "lls", i, l, "0 or less")
	}
	c.text("text", s.Text)
	c.that(len(s.Metrics) > 0, "metrics", len(s.Metrics), "one or more")
	for i, m := range s.Metrics {
		c.name(fmt.Sprintf("metrics[%d].name", i), m.Name)
		c.that(m.Value >= 0 && m.Value <= 1 && !math.IsNaN(m.Value), fmt.Sprintf("metrics[%d].value", i), m.Value, "a number from 0 to 1")
	}
	return c.err()
}

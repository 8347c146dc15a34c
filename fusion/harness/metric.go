package harness

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// Verdict is the value of each metric of one item.
type Verdict map[string]float64

// Chosen marks an item by the log-likelihoods of its answers.
//
// Formula, for answers 1 to n with log-likelihoods l [n] in nats and lengths c [n] in characters (Unicode code points):
//
//	acc      = 1 if argmax l is the right one, else 0
//	acc_norm = 1 if argmax l/c is the right one, else 0
//	mc2      = Σ exp(l) over right answers / Σ exp(l) over all
//
// Boundary: of equal ones the first is taken; an answer without characters has l/0, which is -Inf, or NaN for l = 0, and the
// first NaN is taken before all else; where every exp(l) is 0, mc2 is NaN in the harness, and here the share that differences
// to the largest give, 0 if all are -Inf.
// Errors: another number of log-likelihoods than of answers, one that is not a number.
// Source: lm_eval 0.4.13, api/task.py process_results and tasks/truthfulqa/utils.py process_results_mc2.
func (t Task) Chosen(d Document, l []float64) (Verdict, error) {
	if len(l) != len(d.Answers) {
		return nil, fmt.Errorf("%d log-likelihoods of %d answers", len(l), len(d.Answers))
	}
	normalised := make([]float64, len(l))
	for i, x := range l {
		if math.IsNaN(x) || x > 0 {
			return nil, fmt.Errorf("log-likelihood %d is %g, want 0 or less", i, x)
		}
		normalised[i] = x / float64(utf8.RuneCountInString(d.Answers[i]))
	}
	if d.True != nil {
		return Verdict{Acc: rightShare(l, d.True)}, nil
	}
	v := Verdict{Acc: hit(l, d.Gold)}
	if t.Has(AccNorm) {
		v[AccNorm] = hit(normalised, d.Gold)
	}
	return v, nil
}

// hit is 1 if the first largest value stands at a place.
func hit(values []float64, place int) float64 {
	best := 0
	for i, x := range values {
		if x > values[best] || math.IsNaN(x) && !math.IsNaN(values[best]) {
			best = i
		}
	}
	if best == place {
		return 1
	}
	return 0
}

// rightShare is the right answers' share of the probability.
func rightShare(l []float64, right []bool) float64 {
	largest := math.Inf(-1)
	for _, x := range l {
		largest = max(largest, x)
	}
	if math.IsInf(largest, -1) {
		return 0
	}
	var good, all float64
	for i, x := range l {
		p := math.Exp(x - largest)
		all += p
		if right[i] {
			good += p
		}
	}
	return good / all
}

// Written marks an item by what the model wrote, cut at the stops.
func (t Task) Written(d Document, text string) Verdict {
	v := Verdict{Strict: 0, Flexible: 0}
	if SameAnswer(StrictAnswer(text), d.Answers[0]) {
		v[Strict] = 1
	}
	if SameAnswer(FlexibleAnswer(text), d.Answers[0]) {
		v[Flexible] = 1
	}
	return v
}

// Mean is the mean of n values and its standard error.
//
// Formula, with the mean m:
//
//	error = √(Σ (x − m)² / (n − 1)) / √n
//
// Boundary: the error of fewer than two values is NaN ("N/A" in summaries), the mean of none too.
// Source: lm_eval 0.4.13, api/metrics.py mean and mean_stderr.
func Mean(values []float64) (mean, stderr float64) {
	n := float64(len(values))
	for _, x := range values {
		mean += x
	}
	mean /= n
	if len(values) < 2 {
		return mean, math.NaN()
	}
	var squares float64
	for _, x := range values {
		squares += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(squares/(n-1)) / math.Sqrt(n)
}

// Pooled is the standard error of all items of several subjects, from each one's standard error and number of items.
//
// Formula, for subjects with errors e and sizes n:
//
//	error = √(Σ (n − 1) n e² / (Σ n − number of subjects) / Σ n)
//
// Boundary: NaN if one subject's is, which is one with a single item.
// Source: lm_eval 0.4.13, api/metrics.py pooled_sample_stderr.
func Pooled(errors []float64, sizes []int) float64 {
	var sum float64
	all := 0
	for i, e := range errors {
		n := sizes[i]
		sum += float64(n-1) * e * e * float64(n)
		all += n
	}
	return math.Sqrt(sum / float64(all-len(sizes)) / float64(all))
}

// MeanOfMeans is the standard error of the mean over k subjects, each counted once, from each one's standard error.
//
// Formula, for subjects with errors e:
//
//	error = √(Σ e²) / k
//
// Boundary: NaN if one subject's is, or for none.
// Source: lm_eval 0.4.13, api/metrics.py unweighted_mean_stderr.
func MeanOfMeans(errors []float64) float64 {
	var sum float64
	for _, e := range errors {
		sum += e * e
	}
	return math.Sqrt(sum) / float64(len(errors))
}

package compare

import "math"

// Paired is a comparison of two marks that both runs have of the same items.
type Paired struct {
	// Items is the number of common items.
	Items int `json:"items"`
	// Here and There are the two runs' means over them.
	Here  float64 `json:"here"`
	There float64 `json:"there"`
	// Difference is Here - There, StandardError that of the mean of the items' differences (sample deviation / √n), 0 for fewer
	// than two items.
	Difference    float64 `json:"difference"`
	StandardError float64 `json:"standard_error"`
	// MoreHere and MoreThere count the items on which the one run's mark is the higher one; the others are ties.
	MoreHere  int `json:"more_here"`
	MoreThere int `json:"more_there"`
	// P is the two-sided probability that a fair coin divides MoreHere + MoreThere items at least so unevenly: the exact sign
	// test, which for right and wrong answers is McNemar's exact test. 1 without such items.
	P float64 `json:"p"`
}

// pair compares marks item by item; here and there have one length.
func pair(here, there []float64) Paired {
	p := Paired{Items: len(here)}
	n := float64(max(1, len(here)))
	for i, x := range here {
		y := there[i]
		p.Here += x / n
		p.There += y / n
		switch {
		case x > y:
			p.MoreHere++
		case y > x:
			p.MoreThere++
		}
	}
	p.Difference = p.Here - p.There
	if len(here) > 1 {
		var squares float64
		for i, x := range here {
			d := x - there[i] - p.Difference
			squares += d * d
		}
		p.StandardError = math.Sqrt(squares / (n - 1) / n)
	}
	p.P = SignTest(p.MoreHere, p.MoreThere)
	return p
}

// SignTest gives the exact two-sided p-value of a items against b, under the hypothesis that either side of each is equally
// likely:
//
//	p = min(1, 2 · Σ_{k ≤ min(a, b)} C(a+b, k) / 2^(a+b))
//
// 1 for a = b, also for 0 and 0. Terms are added as exponentials of log-gammas, exact to 1e-10 of p up to some hundred items
// and to 1e-7 up to a million; p below 1e-300 is 0.
//
// Source: McNemar 1947, "Note on the sampling error of the difference between correlated proportions or percentages", in its
// exact form; a and b are the discordant pairs.
func SignTest(a, b int) float64 {
	n, least := a+b, min(a, b)
	var sum float64
	for k := range least + 1 {
		sum += math.Exp(logChoose(n, k) - float64(n)*math.Ln2)
	}
	return min(1, 2*sum)
}

// logChoose is the logarithm of n over k.
func logChoose(n, k int) float64 {
	gamma := func(x int) float64 { y, _ := math.Lgamma(float64(x) + 1); return y }
	return gamma(n) - gamma(k) - gamma(n-k)
}

package objective

import "math"

// oracle computes what Fusion does for one position, in float64 and plain Go, without sharing a line with it.
func oracle(z []float64, gold int, ids []int, probs []float64, rest float64, t Teaching) (crossEntropy, divergence float64) {
	tau := t.Temperature
	softmax := func(z []float64, tau float64) []float64 {
		top := math.Inf(-1)
		for _, x := range z {
			top = max(top, x/tau)
		}
		sum := 0.0
		q := make([]float64, len(z))
		for i, x := range z {
			q[i] = math.Exp(x/tau - top)
			sum += q[i]
		}
		for i := range q {
			q[i] /= sum
		}
		return q
	}
	power := func(p []float64) []float64 {
		sum := 0.0
		out := make([]float64, len(p))
		for i, x := range p {
			if x > 0 {
				out[i] = math.Pow(x, 1/tau)
			}
			sum += out[i]
		}
		for i := range out {
			out[i] /= sum
		}
		return out
	}
	q := softmax(z, 1)
	crossEntropy = -math.Log(q[gold])
	p := append([]float64{}, probs...)
	var qs []float64
	switch {
	case t.Rest == Bucket:
		left := 1.0
		for _, id := range ids {
			qs = append(qs, q[id])
			left -= q[id]
		}
		p = power(append(p, rest))
		qs = power(append(qs, max(left, 1e-8)))
		if tau == 1 { // raising to one must not renormalise the floored rest
			sum := 0.0
			for i, id := range ids {
				qs[i] = q[id]
				sum += q[id]
			}
			qs[len(ids)] = max(1-sum, 1e-8)
		}
	case t.Divergence == KL || t.Divergence == CE:
		p = power(p)
		hot := softmax(z, tau)
		for _, id := range ids {
			qs = append(qs, hot[id])
		}
	default:
		p = power(p)
		var some []float64
		for _, id := range ids {
			some = append(some, z[id])
		}
		qs = softmax(some, tau)
	}
	term := func(w, a, b float64) float64 {
		if w == 0 {
			return 0
		}
		return w * (math.Log(a) - math.Log(b))
	}
	d := 0.0
	for i := range p {
		m := (p[i] + qs[i]) / 2
		switch t.Divergence {
		case KL:
			d += term(p[i], p[i], qs[i])
		case CE:
			d += term(p[i], 1, qs[i])
		case ReverseKL:
			d += term(qs[i], qs[i], max(p[i], 1e-8))
		case JSD:
			d += 0.5*term(p[i], p[i], m) + 0.5*term(qs[i], qs[i], m)
		}
	}
	return crossEntropy, d * tau * tau
}

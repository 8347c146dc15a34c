package dist

import "math"

// RoundBFloat16 gives the bfloat16 number nearest to x (8 significant bits, relative error at most 2^-8), as a
// float32 whose low 16 bits are zero; ties go to the even one. NaN stays NaN; a finite x too large for bfloat16
// becomes infinite, as IEEE 754 rounds.
//
// Source: IEEE 754-2019, 4.3.1 roundTiesToEven, on the truncated binary32 format.
func RoundBFloat16(x float32) float32 {
	bits := math.Float32bits(x)
	if x != x {
		return math.Float32frombits(bits&0xFFFF0000 | 1<<22)
	}
	bits += 0x7FFF + bits>>16&1
	return math.Float32frombits(bits & 0xFFFF0000)
}

// LogSumExp gives log Σ exp(x) of the values of xs [n], in nats and without overflow: m + log Σ exp(x - m), m the
// largest. An empty list, or one of -Inf only, is -Inf (the log of no mass); +Inf gives +Inf; NaN gives NaN.
//
// Source: the usual shift by the maximum; Blanchard, Higham, Higham, "Accurately computing the log-sum-exp and
// softmax functions", IMA J. Numer. Anal. 41 (2021), algorithm 3.1.
func LogSumExp(xs []float64) float64 {
	largest := math.Inf(-1)
	for _, x := range xs {
		if x > largest || x != x {
			largest = x
		}
	}
	if math.IsInf(largest, 0) || largest != largest {
		return largest
	}
	sum := 0.0
	for _, x := range xs {
		sum += math.Exp(x - largest)
	}
	return largest + math.Log(sum)
}

// LogAdd gives log(exp(a) + exp(b)) in nats. -Inf is the log of no mass: LogAdd(a, -Inf) = a exactly.
//
// Source: LogSumExp of two values, as a log1p so that a small b is not lost.
func LogAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}

// Log1mExp gives log(1 - exp(x)) for a log-prob x <= 0: the log of the mass that a mass of exp(x) leaves. x = 0 gives
// -Inf and x = -Inf gives 0, exactly; x > 0, no log-prob, gives NaN.
//
// Source: Mächler, "Accurately computing log(1 - exp(-|a|))" (2012): expm1 above -log 2, log1p below.
func Log1mExp(x float64) float64 {
	if x > -math.Ln2 {
		return math.Log(-math.Expm1(x))
	}
	return math.Log1p(-math.Exp(x))
}

// Nats gives the cross-entropy of a text: Σ -log p(s_j) over its T tokens (end-of-turn included where it is the last),
// in nats, summed in float64. No tokens: 0.
//
// Source: spec/alignment.md §4.
func Nats(tokenLogProbs []float32) float64 {
	sum := 0.0
	for _, x := range tokenLogProbs {
		sum -= float64(x)
	}
	return sum
}

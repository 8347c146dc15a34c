package vector

import "math"

// lanes is how many partial sums a sum has.
const lanes = 16

// total adds the lanes in order.
func total(l *[lanes]float64) float64 {
	var s float64
	for _, v := range l {
		s += v
	}
	return s
}

// Finite says whether no element is NaN or infinite.
func Finite(x []float32) bool {
	i, finite := finiteWide(x)
	if !finite {
		return false
	}
	for _, v := range x[i:] {
		if math.Float32bits(v)&0x7f800000 == 0x7f800000 {
			return false
		}
	}
	return true
}

// Scale sets dst = w·x.
func Scale(dst []float32, w float32, x []float32) {
	for i := scaleWide(dst, w, x); i < len(x); i++ {
		dst[i] = w * x[i]
	}
}

// AddScaled sets dst = dst + w·x, product and sum each rounded.
func AddScaled(dst []float32, w float32, x []float32) {
	for i := addScaledWide(dst, w, x); i < len(x); i++ {
		dst[i] += float32(w * x[i])
	}
}

// Blend sets dst = a·x + b·y, products and sum each rounded.
func Blend(dst []float32, a float32, x []float32, b float32, y []float32) {
	for i := blendWide(dst, a, x, b, y); i < len(x); i++ {
		dst[i] = float32(a*x[i]) + float32(b*y[i])
	}
}

// Divide sets dst = dst / d.
func Divide(dst []float32, d float32) {
	for i := divideWide(dst, d); i < len(dst); i++ {
		dst[i] /= d
	}
}

// DivideEach sets dst = dst / d, element by element.
func DivideEach(dst, d []float32) {
	for i := divideEachWide(dst, d); i < len(dst); i++ {
		dst[i] /= d[i]
	}
}

// Sub sets dst = x - y.
func Sub(dst, x, y []float32) {
	for i := subWide(dst, x, y); i < len(x); i++ {
		dst[i] = x[i] - y[i]
	}
}

// Dot is Σ x·y in float64; the products are exact.
func Dot(x, y []float32) float64 {
	var l [lanes]float64
	for i := dotWide(&l, x, y); i < len(x); i++ {
		l[i%lanes] += float64(x[i]) * float64(y[i])
	}
	return total(&l)
}

// DistanceSquared is Σ (x - y)² in float64; the differences are exact for most pairs, and never rounded to float32.
func DistanceSquared(x, y []float32) float64 {
	var l [lanes]float64
	for i := distanceWide(&l, x, y); i < len(x); i++ {
		d := float64(x[i]) - float64(y[i])
		l[i%lanes] += float64(d * d)
	}
	return total(&l)
}

// SumAbs is Σ |x| in float64.
func SumAbs(x []float32) float64 {
	var l [lanes]float64
	for i := sumAbsWide(&l, x); i < len(x); i++ {
		l[i%lanes] += math.Abs(float64(x[i]))
	}
	return total(&l)
}

// KeepLarge zeroes every element whose magnitude, as the bits of a float32 without its sign, is below least.
func KeepLarge(x []float32, least uint32) {
	for i := keepLargeWide(x, least); i < len(x); i++ {
		if math.Float32bits(x[i])&0x7fffffff < least {
			x[i] = 0
		}
	}
}

// Elect keeps of every position the values that have the elected sign, + where election >= 0, and adds them up in order:
// mixed = Σ v_j, and divisor = Σ w_j over the same j, 1 where that is 0. Zeros agree with no sign.
func Elect(mixed, divisor, election []float32, v [][]float32, w []float32) {
	for i := electWide(mixed, divisor, election, v, w); i < len(mixed); i++ {
		var m, d float32
		for j := range v {
			if x := v[j][i]; x > 0 && election[i] >= 0 || x < 0 && election[i] < 0 {
				m += x
				d += w[j]
			}
		}
		if d == 0 {
			d = 1
		}
		mixed[i], divisor[i] = m, d
	}
}

// Agreement counts the positions at which some slice's element differs from the base's: agree, where all that differ do so
// in one direction, and conflict, where they go both ways. Without a base (nil) elements are compared with zero.
func Agreement(base []float32, x [][]float32) (agree, conflict int) {
	if len(x) == 0 {
		return 0, 0
	}
	i, agree, conflict := agreementWide(base, x)
	for ; i < len(x[0]); i++ {
		var b float32
		if base != nil {
			b = base[i]
		}
		var up, down bool
		for _, s := range x {
			up = up || s[i] > b
			down = down || s[i] < b
		}
		switch {
		case up && down:
			conflict++
		case up || down:
			agree++
		}
	}
	return agree, conflict
}

package draw

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
)

// scheme gives the palette of one scheme, linear light from 0 to 1.
func scheme(t *testing.T, dark bool) map[string][3]float64 {
	t.Helper()
	out := map[string][3]float64{}
	for _, c := range palette {
		text := c.light
		if dark {
			text = c.dark
		}
		var rgb [3]float64
		for i := range rgb {
			n, err := strconv.ParseUint(text[1+2*i:3+2*i], 16, 8)
			if err != nil || len(text) != 7 {
				t.Fatalf("%s is %q, want #rrggbb", c.name, text)
			}
			rgb[i] = linear(float64(n) / 255)
		}
		out[c.name] = rgb
	}
	return out
}

// linear is sRGB's transfer function; WCAG 2 has the same.
func linear(v float64) float64 {
	if v <= 0.04045 {
		return v / 12.92
	}
	return math.Pow((v+0.055)/1.055, 2.4)
}

func encoded(v float64) float64 {
	if v <= 0.0031308 {
		return 12.92 * v
	}
	return 1.055*math.Pow(v, 1/2.4) - 0.055
}

// contrast is WCAG 2's ratio.
func contrast(a, b [3]float64) float64 {
	x, y := luminance(a), luminance(b)
	return (math.Max(x, y) + 0.05) / (math.Min(x, y) + 0.05)
}

func luminance(c [3]float64) float64 { return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2] }

// over lays a colour of some opacity over another, as browsers do: in sRGB.
func over(top, ground [3]float64, opacity float64) [3]float64 {
	var out [3]float64
	for i := range out {
		out[i] = linear(opacity*encoded(top[i]) + (1-opacity)*encoded(ground[i]))
	}
	return out
}

func TestContrast(t *testing.T) {
	if got := contrast([3]float64{}, [3]float64{1, 1, 1}); math.Abs(got-21) > 1e-9 {
		t.Fatalf("black on white has %g, want 21", got)
	}
	for _, dark := range []bool{false, true} {
		c := scheme(t, dark)
		check := func(name string, text, ground [3]float64, least float64) {
			t.Helper()
			if got := contrast(text, ground); got < least {
				t.Errorf("dark %v: %s has a contrast of %.2f, want %.1f", dark, name, got, least)
			}
		}
		for _, text := range []string{"fg", "soft", "link"} {
			for _, ground := range []string{"bg", "card", "win"} {
				check(text+" on "+ground, c[text], c[ground], 4.5)
			}
		}
		for i := range 5 {
			name := fmt.Sprintf("s%d", i)
			check("fg on "+name, c["fg"], c[name], 4.5)
		}
		check("fg on the deepest cell", c["fg"], over(c["c0"], c["card"], deepest), 4.5)
		for i := range colours { // bars and lines: WCAG 2, 1.4.11
			check(Class(i)+" on card", c[Class(i)], c["card"], 3)
			check(Class(i)+" on bg", c[Class(i)], c["bg"], 3)
		}
	}
}

// visions are what dichromats see of linear light: Machado, Oliveira and Fernandes (2009), severity 1.
var visions = map[string][3][3]float64{
	"all cones":    {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
	"protanopia":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
	"deuteranopia": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
	"tritanopia":   {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
}

// lab is CIE L*a*b* of linear light.
func lab(c [3]float64) [3]float64 {
	for i := range c {
		c[i] = math.Min(1, math.Max(0, c[i]))
	}
	f := func(t float64) float64 {
		if t > 0.008856 {
			return math.Cbrt(t)
		}
		return 7.787*t + 16.0/116
	}
	x := f((0.4124*c[0] + 0.3576*c[1] + 0.1805*c[2]) / 0.9505)
	y := f(luminance(c))
	z := f((0.0193*c[0] + 0.1192*c[1] + 0.9505*c[2]) / 1.089)
	return [3]float64{116*y - 16, 500 * (x - y), 200 * (y - z)}
}

// TestToldApart: any two series' colours differ by ten in CIE L*a*b*, also for those with two kinds of cones.
func TestToldApart(t *testing.T) {
	for _, dark := range []bool{false, true} {
		c := scheme(t, dark)
		for vision, m := range visions {
			seen := func(name string) [3]float64 {
				var out [3]float64
				for i := range out {
					for j := range 3 {
						out[i] += m[i][j] * c[name][j]
					}
				}
				return lab(out)
			}
			for i := range colours {
				for j := range i {
					a, b := seen(Class(i)), seen(Class(j))
					if d := math.Hypot(math.Hypot(a[0]-b[0], a[1]-b[1]), a[2]-b[2]); d < 10 {
						t.Errorf("dark %v, %s: %s and %s are %.1f apart, want 10", dark, vision, Class(i), Class(j), d)
					}
				}
			}
		}
	}
}

// TestNames: every colour that a style names is in the palette, and a file's style names none.
func TestNames(t *testing.T) {
	known := map[string]bool{}
	for _, c := range palette {
		known[c.name] = true
	}
	for _, part := range strings.Split(string(CSS()), "var(--")[1:] {
		if name, _, _ := strings.Cut(part, ")"); !known[name] {
			t.Errorf("the palette lacks %s", name)
		}
	}
	if s := onWhite(); strings.Contains(s, "var(") {
		t.Errorf("a file's style names a colour: %s", s)
	}
}

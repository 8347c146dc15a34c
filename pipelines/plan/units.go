package plan

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// some writes a number above zero.
func some(x float64, write func(float64) string) string {
	if x <= 0 {
		return ""
	}
	return write(x)
}

// whole writes a rounded number with commas between thousands.
func whole(x float64) string {
	s := strconv.FormatFloat(math.Round(x), 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Bytes writes a size with a unit: 512 B, 45.1 KiB, 3.2 GiB.
func Bytes(x float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	i := 0
	for ; x >= 1023.5 && i < len(units)-1; i++ {
		x /= 1024
	}
	if i == 0 || x >= 99.95 {
		return fmt.Sprintf("%.0f %s", x, units[i])
	}
	return fmt.Sprintf("%.1f %s", x, units[i])
}

func hours(x float64) string {
	if x < 0.095 {
		return fmt.Sprintf("%.4f", x)
	}
	return fmt.Sprintf("%.1f", x)
}

func money(x float64) string {
	if x >= 1000 {
		return whole(x)
	}
	return fmt.Sprintf("%.2f", x)
}

// clock writes seconds with two units.
func clock(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < time.Second:
		return "under 1s"
	case d < time.Minute-500*time.Millisecond:
		return d.Round(time.Second).String()
	case d < time.Hour-500*time.Millisecond:
		s := int64(d.Round(time.Second) / time.Second)
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case d < 48*time.Hour:
		m := int64(d.Round(time.Minute) / time.Minute)
		return fmt.Sprintf("%dh%02dm", m/60, m%60)
	}
	h := int64(d.Round(time.Hour) / time.Hour)
	return fmt.Sprintf("%dd%02dh", h/24, h%24)
}

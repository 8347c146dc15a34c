//go:build !goexperiment.simd || !amd64

package vector

// Without vector instructions the plain loops do everything: each of these did 0 elements.

func finiteWide([]float32) (int, bool)                                 { return 0, true }
func scaleWide([]float32, float32, []float32) int                      { return 0 }
func addScaledWide([]float32, float32, []float32) int                  { return 0 }
func blendWide([]float32, float32, []float32, float32, []float32) int  { return 0 }
func divideWide([]float32, float32) int                                { return 0 }
func divideEachWide(_, _ []float32) int                                { return 0 }
func subWide(_, _, _ []float32) int                                    { return 0 }
func dotWide(*[lanes]float64, []float32, []float32) int                { return 0 }
func distanceWide(*[lanes]float64, []float32, []float32) int           { return 0 }
func sumAbsWide(*[lanes]float64, []float32) int                        { return 0 }
func keepLargeWide([]float32, uint32) int                              { return 0 }
func electWide(_, _, _ []float32, _ [][]float32, _ []float32) int      { return 0 }
func agreementWide([]float32, [][]float32) (done, agree, conflict int) { return 0, 0, 0 }

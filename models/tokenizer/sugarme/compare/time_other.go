//go:build !unix

package main

import "time"

var began = time.Now()

// processTime is the time since the start, where the processor's time is not to be had.
func processTime() time.Duration { return time.Since(began) }

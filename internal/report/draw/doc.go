// Package draw owns figures: a drawing in SVG with its caption and the table of the numbers that it shows.
//
// Flow in: numbers with names (Bars, Stacked, Boxes, Matrix, Lines); flow out: a Figure, which is written into a page (HTML), as a
// file of its own (SVG) and as data (CSV). Colours are CSS classes c0, c1, … and s0, s1, … of one palette with a light and a
// dark scheme; a page takes it from CSS.
//
// Every drawing can be read without colours: bars carry their series' name, lines a dash and a shape, shares a hatching.
// The package computes nothing of what it draws and knows nothing of runs.
package draw

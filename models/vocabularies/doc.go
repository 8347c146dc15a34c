// Package vocabularies owns vocabulary maps on disk: what fusion/vocabulary takes seconds to build is built once.
//
// Flow in: a method and two tokenizers, for the statistical map co-alignment counts too; flow out: the map. A map is a file
// of its own, named after the method and the two tokenizers' fingerprints, written whole or not at all and checked when it
// is read. A file that is damaged, or of other tokenizers, is built again with a warning; a folder that cannot be written
// costs the time of building, and a warning, no more.
//
// The package has no say in what a map holds; two processes may use one folder.
package vocabularies

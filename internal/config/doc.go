// Package config owns fusion.yaml: the one file that describes a whole project.
//
// Flow in: the file, --set key=value, and the defaults, each stated once in the tags of the section types. Flow out: a
// Config whose paths are resolved and whose values are known to be in range, or all faults at once, each with file,
// line and key; the resolved form as text (Print), a commented first file (InitText), the reference page (Reference),
// and for each step the digest of exactly what it depends on (Digest).
//
// Keys, defaults and ranges come from the struct tags and explanations from the comments in sections.go and training.go; there is no
// second list of them anywhere. The package opens no model and reads no prompts: it only looks that files are there.
package config

//go:generate go run ./docgen ../../docs/configuration.md

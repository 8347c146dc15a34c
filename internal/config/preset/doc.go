// Package preset owns the methods of the paper's comparison as sets of configuration keys: what `preset: NAME` stands for.
//
// Flow in: a name; flow out: keys with their values in YAML, and the source of each method, for internal/config, which lays
// them under what the file says, and for docs/configuration.md.
//
// A preset is a row in a table: a new one adds a row. It states what makes the method, and leaves to the file what a
// comparison holds equal: β, learning rate, batches, numbers of epochs.
//
// Not here: what a key means or allows; a test of internal/config holds every row against the types there.
package preset

// Package scores owns what a report takes from other runs: reward scores by epoch (figure 4 of the paper) and benchmark
// scores by advantage method (figure 3).
//
// Flow in: a rewards.json as profuser evaluate --reward writes it, or a CSV file with the columns method, score and sd;
// flow out: checked records. Errors name the file, the row and the field.
// The package draws nothing and opens nothing.
package scores

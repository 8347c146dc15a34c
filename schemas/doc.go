// Package schemas is the contract of ProFuser's datasets: one file a record.
//
// Each record is a plain struct whose tags give the Parquet columns: standard types, nested lists at most one level
// deep, distributions as flat lists with counts (CSR). Validate checks the invariants that a reader relies on and
// names the field, the value and the allowed range. Flow in: rows that steps make or readers load; flow out: the same
// rows, checked. The package reads and writes no files (internal/dataset does) and imports the standard library only.
//
// Version numbers rise when a reader of the older one would misread a row.
package schemas

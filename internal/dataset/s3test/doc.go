// Package s3test owns a small S3 server for tests of this tree.
//
// In flow HTTP requests of the AWS client; out flow answers as far as our store needs them: conditional puts, uploads in
// pieces, ranges, listings of a thousand keys; and faults that a test asks for. Objects are kept in memory.
//
// It checks no signature, knows no buckets' policies and no versions. Product code does not import it.
package s3test

package transformtest

import (
	"fmt"
	"os"
	"testing"

	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism" // the runner
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
)

// Main is TestMain of packages whose tests run jobs on Prism; it returns the exit status. Beam leaves an empty file for each
// job where temporary files go; here that is a folder that is removed at the end.
func Main(m *testing.M) (status int) {
	dir, err := os.MkdirTemp("", "profuser-test-")
	if err == nil {
		err = os.Setenv("TMPDIR", dir)
	}
	if err == nil {
		status = ptest.MainRetWithDefault(m, "prism")
		err = os.RemoveAll(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(status, 1)
	}
	return status
}

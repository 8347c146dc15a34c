package runner

import (
	"context"
	"fmt"
	"net"
	"sync"

	beamlog "github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
)

// prismEndpoint is the job server of this process, started at its first use.
var prismEndpoint = sync.OnceValues(func() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("starting Prism: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return "", err
	}
	if _, err := prism.CreateJobServer(context.Background(), prism.Options{Port: port}); err != nil {
		return "", fmt.Errorf("starting Prism: %w", err)
	}
	return fmt.Sprintf("localhost:%d", port), nil
})

// silent drops Beam's log messages of the submitting side.
type silent struct{}

// Log implements the Beam logger.
func (silent) Log(context.Context, beamlog.Severity, int, string) {}

package runner

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"

	beamlog "github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
)

// PrismEndpoint is the address of the job server of this process, started at its first use.
var PrismEndpoint = sync.OnceValues(func() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("starting Prism: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return "", err
	}
	quiet()
	if _, err := prism.CreateJobServer(context.Background(), prism.Options{Port: port}); err != nil {
		return "", fmt.Errorf("starting Prism: %w", err)
	}
	return fmt.Sprintf("localhost:%d", port), nil
})

// quiet drops what Beam and Prism log on the submitting side: what is worth telling is in errors, they print pages.
func quiet() {
	beamlog.SetLogger(silent{})
	slog.SetDefault(slog.New(slog.DiscardHandler))
}

// silent drops Beam's log messages.
type silent struct{}

// Log implements the Beam logger.
func (silent) Log(context.Context, beamlog.Severity, int, string) {}

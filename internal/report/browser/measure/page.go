package main

import (
	"context"
	_ "embed" // the script
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// head sets what the report's page sets, in short.
const head = `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>prompts</title><style>:root { --bg:#fff; --fg:#1d2330; --soft:#5a6372; --line:#d9dde4; --card:#fff; --c0:#3566b8; --c1:#c2571a; --c2:#2b8a57; --s1:#bfe0ca; --win:#e4efe8 } body { font:16px/1.5 sans-serif }</style></head><body>
`

// script waits until all texts are read, then uses the page as a reader does and sends what each thing took to the address
// behind the page's question mark.
//
//go:embed measure.js
var script string

// openPage lets the browser run the page, whose script sends what it measured to a server here.
func openPage(ctx context.Context, chromium, path string) error {
	if chromium == "" {
		return nil
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	received := make(chan string, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil && r.Method == http.MethodPost {
			received <- string(body)
		}
	})}
	go func() { _ = server.Serve(listener) }() // ends with Close
	defer server.Close()
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	profile, err := os.MkdirTemp("", "profuser-browser-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(profile)
	command := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--enable-precise-memory-info", "--user-data-dir="+profile,
		"--remote-debugging-port=0", fmt.Sprintf("file://%s?%s", absolute, listener.Addr()))
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	if err := command.Start(); err != nil {
		return err
	}
	select {
	case text := <-received:
		fmt.Println(text)
	case <-ctx.Done():
		err = fmt.Errorf("%s sent no measurements of %s", chromium, path)
	}
	stop()
	_ = command.Wait() // it was stopped
	return err
}

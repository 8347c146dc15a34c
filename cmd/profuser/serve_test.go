package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestServe(t *testing.T) {
	for _, test := range []struct{ model, path, body, want string }{
		{"target", "/v1/chat/completions", `{"messages":[{"role":"user","content":"Hello"}],"max_tokens":3}`, `"role":"assistant"`},
		{"judge-a", "/classify", `{"input":"Hello"}`, `"num_classes":1`},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		reader, writer := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			ended <- serving{model: "../../data/models/" + test.model, host: "127.0.0.1"}.run(ctx, writer)
			_ = writer.Close()
		}()
		line, err := bufio.NewReader(reader).ReadString('\n')
		if err != nil {
			t.Fatalf("%v: %v", err, <-ended)
		}
		address, ok := strings.CutPrefix(strings.TrimSpace(line), "serving "+test.model+" on ")
		if !ok {
			t.Fatalf("printed %q", line)
		}
		response, err := http.Post(address+test.path, "application/json", strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(body), test.want) {
			t.Errorf("status %d, error %v: %s", response.StatusCode, err, body)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("at the end: %v", err)
		}
	}
	if err := (serving{model: t.TempDir()}).run(t.Context(), io.Discard); err == nil {
		t.Error("no error for an empty directory")
	}
}

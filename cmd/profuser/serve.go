package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/models/processor"
	"github.com/profuser/profuser/models/serving/server"
)

// serving is what profuser serve is told.
type serving struct {
	model, name, host, template, backend string
	port                                 int
}

// newServe answers over HTTP with one model.
func newServe() *cobra.Command {
	var s serving
	c := &cobra.Command{
		Use:   "serve --model DIR",
		Short: "Answer over HTTP with a model directory, as OpenAI's API and vLLM do",
		Long: "Load a model directory and answer /v1/completions and /v1/chat/completions (a reward model: /classify), /v1/models,\n" +
			"/health and /metrics until interrupted. There are no keys and no TLS: it listens on the local host unless told otherwise.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	c.Flags().SortFlags = false
	c.Flags().StringVar(&s.model, "model", "", "the model's Hugging Face directory")
	c.Flags().IntVar(&s.port, "port", 8000, "the port to listen on; 0 takes a free one")
	c.Flags().StringVar(&s.host, "host", "127.0.0.1", "the address to listen on")
	c.Flags().StringVar(&s.name, "name", "", "the model's name in requests (default: the directory's)")
	c.Flags().StringVar(&s.backend, "backend", processor.Default, "what computes: "+processor.Default+", or xla:/path/to/plugin.so in a binary of make build-xla")
	c.Flags().StringVar(&s.template, "chat-template", "", "a built-in chat template instead of the directory's own")
	_ = c.MarkFlagRequired("model") // it is a flag of this command
	return c
}

// run serves until the context ends; requests that run then have ten seconds to end.
func (s serving) run(ctx context.Context, out io.Writer) (err error) {
	format := chat.Options{ChatTemplate: s.template}
	config, _, err := engine.Check(s.model, format)
	if err != nil {
		return err
	}
	if s.name == "" {
		s.name = filepath.Base(filepath.Clean(s.model))
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(s.host, strconv.Itoa(s.port)))
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	e, err := engine.Open(s.model, engine.Options{Backend: s.backend, Format: format})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	h := &http.Server{Handler: server.New(e, server.Options{Name: s.name, Rewards: config.Reward()}), ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintf(out, "serving %s on http://%s\n", s.name, listener.Addr())
	ended := make(chan error, 1)
	go func() { ended <- h.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = h.Shutdown(closing)
	<-ended
	return err
}

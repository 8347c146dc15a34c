package server

import (
	"encoding/json"
	"math"
	"net/http"

	"github.com/profuser/profuser/schemas"
)

// classify is vLLM's /classify: a sigmoid is applied unless use_activation is false.
func (s *Server) classify(w http.ResponseWriter, r *http.Request, body []byte) error {
	var q struct {
		Model         string            `json:"model"`
		Input         json.RawMessage   `json:"input"`
		Messages      []schemas.Message `json:"messages"`
		UseActivation *bool             `json:"use_activation"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return fault{http.StatusBadRequest, "", "reading the request: " + err.Error()}
	}
	if _, err := s.sampling(&request{Model: q.Model}); err != nil {
		return err
	}
	var inputs [][]int32
	var err error
	if n := len(q.Messages); n > 0 {
		if q.Messages[n-1].Role != "assistant" {
			return wrong("messages", "ends with role %q, want the assistant's answer", q.Messages[n-1].Role)
		}
		ids, renderErr := s.engine.Format().Conversation(q.Messages[:n-1], q.Messages[n-1].Content)
		if renderErr != nil {
			return wrong("messages", "cannot be rendered: %v", renderErr)
		}
		inputs = [][]int32{ids}
	} else if inputs, err = s.prompts("input", q.Input); err != nil {
		return err
	}
	data, read := []any{}, 0
	for i, ids := range inputs {
		if len(ids) == 0 {
			return wrong("input", "is empty, want at least one token")
		}
		score, err := s.engine.Reward(r.Context(), ids)
		if err != nil {
			return err
		}
		if q.UseActivation == nil || *q.UseActivation {
			score = 1 / (1 + math.Exp(-score))
		}
		read += len(ids)
		data = append(data, map[string]any{"index": i, "label": "LABEL_0", "probs": []float64{score}, "num_classes": 1})
	}
	s.counts.tokens(read, 0)
	reply := s.envelope("classify", "list")
	reply["data"], reply["usage"] = data, usage(read, 0)
	write(w, http.StatusOK, reply)
	return nil
}

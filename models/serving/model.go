package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/profuser/profuser/fusion/verdict"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/serving/transport"
)

// ErrTooLong means that a request does not fit the model's context.
var ErrTooLong = errors.New("too_long")

// KeyVariable is the environment variable from which callers take the servers' key.
const KeyVariable = "PROFUSER_API_KEY"

// Kinds of servers. Auto finds out.
const (
	Auto     = "auto"
	VLLM     = "vllm"
	SGLang   = "sglang"
	LlamaCPP = "llama.cpp"
)

// Options of a served model.
type Options struct {
	// Name is the model's in messages; Model its name on the server.
	Name, Model string
	// Kind is the server's: Auto, VLLM, SGLang or LlamaCPP; "" means Auto. It only shortens the search for a way.
	Kind string
	// Format says how conversations become tokens; its tokenizer must be the model's. A Reward that ReadsText needs none.
	Format *chat.Format
	// Context is the longest sequence in tokens; 0 asks the server.
	Context int
	// VocabSize is the number of ids that replies may name; 0 asks the server, then takes the tokenizer's.
	VocabSize int
	// Reward says how a reward model is asked; "" means Classify.
	Reward RewardAPI
	// Criteria is what a judge is to say about an answer, after "Say in at most three sentences"; "" means verdict.DefaultCriteria.
	Criteria string
	// MaxFailures is how many requests may fail, each an error of its row alone, before such an error is one of the run;
	// 0 sets no bound. Too long texts do not count.
	MaxFailures int64
	// Transport says where and how often. Its Identity is set here.
	Transport transport.Options
}

// Model is one served model. All methods may be called from many goroutines.
type Model struct {
	options  Options
	pool     *transport.Pool
	tokens   *vocabulary
	context  int
	failures atomic.Int64
	fewest   int // tokens that a completion has at least

	probing sync.Mutex // guards what follows
	reader  *reader
	lists   *bool // whether several texts may be read in one request; nil: not asked yet
	rewards *rewardForm
}

// Open looks the model up at its server: name, context, size of the vocabulary.
func Open(ctx context.Context, o Options) (*Model, error) {
	if o.Kind == "" {
		o.Kind = Auto
	}
	if o.Reward == "" {
		o.Reward = Classify
	}
	if o.Criteria == "" {
		o.Criteria = verdict.DefaultCriteria
	}
	fingerprint := ""
	if o.Format != nil {
		fingerprint = o.Format.Tokenizer().Fingerprint()
	} else if !o.Reward.ReadsText() {
		return nil, fmt.Errorf("no tokenizer, which every use but the rewards %s and %s needs", PairScore, Judge)
	}
	o.Transport.Identity = strings.Join([]string{o.Model, o.Kind, fingerprint}, "\x1f")
	pool, err := transport.New(o.Transport)
	if err != nil {
		return nil, err
	}
	m := &Model{options: o, pool: pool, context: o.Context, fewest: 1}
	size, err := m.lookUp(ctx)
	if err == nil && o.Format != nil {
		m.tokens, err = vocabularyOf(o, size)
	}
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return m, nil
}

// vocabularyOf is the vocabulary of a model whose server knows size ids, 0 if it does not say.
func vocabularyOf(o Options, size int) (*vocabulary, error) {
	tokens := o.Format.Tokenizer().Size()
	if o.VocabSize > 0 {
		size = o.VocabSize
	}
	if size == 0 {
		size = tokens
	}
	if tokens > size {
		return nil, fmt.Errorf("its tokenizer has %d ids, the server's model %d: the tokenizer belongs to another model", tokens, size)
	}
	return newVocabulary(o.Format.Tokenizer(), size), nil
}

// Close ends the calls in flight and leaves no goroutine.
func (m *Model) Close() error { return m.pool.Close() }

// Format is the model's way of turning conversations into tokens.
func (m *Model) Format() *chat.Format { return m.options.Format }

// Context is the longest sequence in tokens, prompt and text together.
func (m *Model) Context() int { return m.context }

// Sent is the number of requests so far that went to a server.
func (m *Model) Sent() int64 { return m.pool.Sent() }

// listed is one entry of /v1/models: vLLM and SGLang say max_model_len, llama.cpp says meta.
type listed struct {
	ID     string `json:"id"`
	MaxLen int    `json:"max_model_len"`
	Vocab  int    `json:"vocab_size"` // profuser serve
	Meta   *struct {
		Vocab   int `json:"n_vocab"`
		Context int `json:"n_ctx"`
	} `json:"meta"`
}

// lookUp reads /v1/models; a server without that route is accepted when the configuration says the context.
func (m *Model) lookUp(ctx context.Context) (vocab int, err error) {
	length := 0
	err = m.pool.Do(ctx, transport.Request{Method: http.MethodGet, Path: "/v1/models", Fresh: true, Check: func(reply []byte) (err error) {
		vocab, length, err = readModels(reply, m.options.Model)
		if err == nil && ours(reply) {
			m.fewest = 0
		}
		return err
	}})
	needed := m.options.Format != nil // the length of a conversation that is sent as text is the server's business
	switch {
	case statusOf(err) == http.StatusNotFound && (m.context > 0 || !needed):
		return 0, nil
	case statusOf(err) == http.StatusNotFound:
		return 0, fmt.Errorf("the server has no list of models: set the model's context: %w", err)
	case err != nil:
		return 0, err
	}
	if length > 0 && (m.context == 0 || length < m.context) {
		m.context = length
	}
	if m.context == 0 && needed {
		return 0, errors.New("the server does not say how long a text it reads: set the model's context")
	}
	return vocab, nil
}

// ours says whether a list of models is of profuser serve.
func ours(reply []byte) bool {
	var list struct {
		Data []struct {
			Owner string `json:"owned_by"`
		}
	}
	return decode(reply, &list) == nil && len(list.Data) == 1 && list.Data[0].Owner == "profuser"
}

// readModels finds a model in a reply of /v1/models: its number of ids and longest text, 0 where the server does not say.
func readModels(reply []byte, name string) (vocab, length int, err error) {
	var list struct{ Data []listed }
	if err := decode(reply, &list); err != nil {
		return 0, 0, err
	}
	at := slices.IndexFunc(list.Data, func(l listed) bool { return l.ID == name })
	if at < 0 && len(list.Data) == 1 && list.Data[0].Meta != nil { // llama.cpp names its file and answers to every name
		at = 0
	}
	if at < 0 {
		var names []string
		for _, l := range list.Data {
			names = append(names, l.ID)
		}
		return 0, 0, &otherReply{fmt.Errorf("endpoint.model %q is not on the server, which has %s", name, strings.Join(names, ", "))}
	}
	found := list.Data[at]
	vocab, length = found.Vocab, found.MaxLen
	if found.Meta != nil {
		vocab, length = found.Meta.Vocab, max(length, found.Meta.Context)
	}
	if vocab < 0 || length < 0 {
		return 0, 0, fmt.Errorf("%w: a model with %d ids and a context of %d", errDamaged, vocab, length)
	}
	return vocab, length, nil
}

// ask sends one request and reads the reply with check. A probe's reply that is whole but of another kind is final.
func (m *Model) ask(ctx context.Context, path string, body any, probe bool, check func([]byte) error) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	judge := func(reply []byte) error {
		err := check(reply)
		if err != nil && probe && !errors.Is(err, errDamaged) {
			return &otherReply{err}
		}
		return err
	}
	return explain(m.pool.Do(ctx, transport.Request{Path: path, Body: data, Check: judge, Fresh: probe}))
}

// fits checks a request's length and ids.
func (m *Model) fits(n int, lists ...[]int32) error {
	if m.tokens == nil {
		return errors.New("a model without a tokenizer reads texts only")
	}
	if n > m.context {
		return fmt.Errorf("%w: %d tokens, model %s has a context of %d", ErrTooLong, n, m.options.Name, m.context)
	}
	for _, ids := range lists {
		for _, id := range ids {
			if err := m.tokens.inRange(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// errDamaged means that a reply is no JSON, or not of the promised form.
var errDamaged = errors.New("damaged reply")

// decode reads a JSON reply. Servers write NaN and Infinity as no JSON allows, so those are faults too.
func decode(reply []byte, value any) error {
	if err := json.Unmarshal(reply, value); err != nil {
		return fmt.Errorf("%w of %d bytes: %w", errDamaged, len(reply), err)
	}
	return nil
}

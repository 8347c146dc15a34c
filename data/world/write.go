package world

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// Sizes of the committed sets, items a skill.
const (
	promptsPerSkill = 120
	heldOutPerSkill = 50
)

// chatTemplate is the demo models' conversation format.
const chatTemplate = "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}<|assistant|>{{ message['content'] }}{{ eos_token }}" +
	"{% else %}<|{{ message['role'] }}|>{{ message['content'] }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type row struct {
	ID         string    `json:"id"`
	Messages   []message `json:"messages"`
	Reference  string    `json:"reference"`
	Tags       []string  `json:"tags"`
	Answer     string    `json:"answer"`
	Candidates []string  `json:"candidates,omitempty"`
}

// Committed makes the files of data/ that are kept in the repository, by path: prompts.jsonl, heldout.jsonl and the two
// tokenizers with their configuration.
func Committed(seed int64) (map[string][]byte, error) {
	out := map[string][]byte{}
	prompts, err := Items(Random(seed, "prompts"), promptsPerSkill, false)
	if err != nil {
		return nil, err
	}
	heldOut, err := Items(Random(seed, "held out"), heldOutPerSkill, true)
	if err != nil {
		return nil, err
	}
	out["prompts.jsonl"] = Prompts("p", prompts, Full)
	out["heldout.jsonl"] = Prompts("h", heldOut, Full)
	texts := corpus(seed)
	for name, tokenizer := range map[string]map[string]any{"llama": llamaTokenizer(texts), "mpt": byteLevelTokenizer(texts)} {
		j, err := json.MarshalIndent(tokenizer, "", " ")
		if err != nil {
			return nil, fmt.Errorf("writing tokenizer %s: %w", name, err)
		}
		out["tokenizers/"+name+"/tokenizer.json"] = append(j, '\n')
		out["tokenizers/"+name+"/tokenizer_config.json"] = lines(map[string]any{
			"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "chat_template": chatTemplate, "add_bos_token": false,
			"clean_up_tokenization_spaces": false, "model_max_length": 256, "tokenizer_class": "PreTrainedTokenizerFast",
		})
	}
	out["tokenizers/llama/config.json"] = lines(map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "vocab_size": vocabularySize, "hidden_size": 128, "intermediate_size": 352,
		"num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
		"tie_word_embeddings": true, "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
	})
	out["tokenizers/mpt/config.json"] = lines(map[string]any{
		"architectures": []string{"MptForCausalLM"}, "model_type": "mpt", "vocab_size": vocabularySize, "d_model": 128, "n_layers": 4, "n_heads": 4, "expansion_ratio": 4,
		"max_seq_len": 256, "no_bias": true, "attn_config": map[string]any{"alibi": true, "alibi_bias_max": 8}, "layer_norm_epsilon": 1e-5,
		"tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
	})
	return out, nil
}

// corpus is what the tokenizers learn from: all skills in both styles.
func corpus(seed int64) []string {
	r := Random(seed, "corpus")
	var out []string
	for range 1200 {
		for _, s := range Skills {
			i := draw[s](r)
			out = append(out, i.Prompt, i.Own, i.Reference)
		}
	}
	return out
}

// Full is an item's reference, in the fuller style.
func Full(i Item) string { return i.Reference }

// Prompts are items as prompt files have them, with ids that begin with prefix, and with what reference says of each.
func Prompts(prefix string, items []Item, reference func(Item) string) []byte {
	var out [][]byte
	for k, i := range items {
		out = append(out, lines(row{fmt.Sprintf("%s%04d", prefix, k+1), []message{{"user", i.Prompt}}, reference(i), i.Tags(), i.Answer, i.Candidates}))
	}
	return bytes.Join(out, nil)
}

// lines is one JSON line a value, with no HTML escapes.
func lines(values ...any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for _, v := range values {
		if err := e.Encode(v); err != nil {
			panic(err) // values are made of strings and numbers
		}
	}
	return b.Bytes()
}

// WriteAll writes files below a folder.
func WriteAll(dir string, files map[string][]byte) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("writing the world: %w", err)
		}
		if err := os.WriteFile(path, files[name], 0o644); err != nil {
			return fmt.Errorf("writing the world: %w", err)
		}
	}
	return nil
}

// Training makes the training files of all demo models: n conversations a chat model (<model>.jsonl), pairs for each
// judge (<judge>.jsonl) and heldOut pairs for measuring (<judge>-heldout.jsonl).
func Training(seed int64, n, pairs, heldOut int) map[string][]byte {
	out := map[string][]byte{}
	for _, name := range sortedKeys(Mixtures) {
		r := Random(seed, "conversations "+name)
		var b bytes.Buffer
		for range n {
			prompt, answer := Mixtures[name].Conversation(r)
			b.Write(lines(map[string]any{"messages": []message{{"user", prompt}, {"assistant", answer}}}))
		}
		out[name+".jsonl"] = b.Bytes()
	}
	for _, judge := range sortedKeys(Judges) {
		out[judge+".jsonl"] = pairRows(Random(seed, "pairs "+judge), judge, pairs, false)
		out[judge+"-heldout.jsonl"] = pairRows(Random(seed, "held-out pairs"), judge, heldOut, true)
	}
	return out
}

func pairRows(r *rand.Rand, judge string, n int, heldOut bool) []byte {
	var b bytes.Buffer
	for range n {
		p := Preference(r, judge, heldOut)
		b.Write(lines(map[string]any{"messages": []message{{"user", p.Item.Prompt}}, "chosen": p.Chosen, "rejected": p.Rejected, "tags": p.Item.Tags()}))
	}
	return b.Bytes()
}

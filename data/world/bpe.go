package world

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// vocabularySize of both tokenizers.
const vocabularySize = 768

// specials come first in both vocabularies.
var specials = []string{"<unk>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"}

// pair is two neighbouring symbols.
type pair struct{ left, right string }

// learnMerges is byte-pair encoding: it merges the most frequent pair of neighbouring symbols again and again, until n
// new tokens exist; of equally frequent pairs the smallest string wins. Words are split into symbols beforehand.
// Source: Sennrich et al. 2016 (arXiv 1508.07909).
func learnMerges(words map[string]int, split func(string) []string, n int) []pair {
	type entry struct {
		symbols []string
		count   int
	}
	var corpus []entry
	for _, w := range sortedKeys(words) {
		corpus = append(corpus, entry{split(w), words[w]})
	}
	var merges []pair
	made := map[string]bool{}
	for len(made) < n {
		counts := map[pair]int{}
		for _, e := range corpus {
			for k := 1; k < len(e.symbols); k++ {
				counts[pair{e.symbols[k-1], e.symbols[k]}] += e.count
			}
		}
		best, most := pair{}, 0
		for p, c := range counts {
			if c > most || (c == most && p.left+"\x00"+p.right < best.left+"\x00"+best.right) {
				best, most = p, c
			}
		}
		if most == 0 {
			break
		}
		merges = append(merges, best)
		made[best.left+best.right] = true
		for i, e := range corpus {
			corpus[i].symbols = applyMerge(e.symbols, best)
		}
	}
	return merges
}

func applyMerge(symbols []string, p pair) []string {
	var out []string
	for k := 0; k < len(symbols); k++ {
		if k+1 < len(symbols) && symbols[k] == p.left && symbols[k+1] == p.right {
			out = append(out, p.left+p.right)
			k++
		} else {
			out = append(out, symbols[k])
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// class tells letters, numbers and the rest apart.
func class(c rune) int {
	switch {
	case unicode.IsLetter(c):
		return 0
	case unicode.IsNumber(c):
		return 1
	}
	return 2
}

// cut splits text before every space and at every change of class; digits stand alone if single is set.
func cut(text string, single bool) []string {
	var out []string
	last := -1
	for _, c := range text {
		switch {
		case c == ' ':
			out, last = append(out, ""), -2
		case last == -1 || (last >= 0 && (last != class(c) || (single && class(c) == 1))):
			out, last = append(out, ""), class(c)
		default:
			last = class(c)
		}
		out[len(out)-1] += string(c)
	}
	return out
}

// llamaTokenizer learns a SentencePiece-style tokenizer.json: ▁ for a space and before every text, bytes as fallback,
// one digit a token.
func llamaTokenizer(texts []string) map[string]any {
	words := map[string]int{}
	letters := map[string]bool{}
	for _, t := range texts {
		for _, w := range cut(" "+t, true) {
			words[strings.ReplaceAll(w, " ", "▁")]++
		}
	}
	for w := range words {
		for _, c := range w {
			letters[string(c)] = true
		}
	}
	tokens := slices.Clone(specials)
	for b := range 256 {
		tokens = append(tokens, fmt.Sprintf("<0x%02X>", b))
	}
	tokens = append(tokens, sortedKeys(letters)...)
	symbols := func(w string) []string { return strings.Split(w, "") }
	merges := learnMerges(words, symbols, vocabularySize-len(tokens))
	model := bpeModel(tokens, merges)
	model["unk_token"], model["fuse_unk"], model["byte_fallback"] = "<unk>", true, true
	space := map[string]any{"String": " "}
	return tokenizerJSON(model, map[string]any{"type": "Sequence", "normalizers": []any{
		map[string]any{"type": "Prepend", "prepend": "▁"}, map[string]any{"type": "Replace", "pattern": space, "content": "▁"},
	}}, nil, map[string]any{"type": "Sequence", "decoders": []any{
		map[string]any{"type": "Replace", "pattern": map[string]any{"String": "▁"}, "content": " "},
		map[string]any{"type": "ByteFallback"},
		map[string]any{"type": "Fuse"},
		map[string]any{"type": "Strip", "content": " ", "start": 1, "stop": 0},
	}})
}

// byteLevelTokenizer learns a GPT-2-style tokenizer.json over bytes; a number may be one token.
func byteLevelTokenizer(texts []string) map[string]any {
	alphabet := byteAlphabet()
	words := map[string]int{}
	for _, t := range texts {
		for _, w := range cut(t, false) {
			var mapped strings.Builder
			for _, b := range []byte(w) {
				mapped.WriteString(alphabet[b])
			}
			words[mapped.String()]++
		}
	}
	tokens := slices.Clone(specials)
	letters := slices.Clone(alphabet[:])
	slices.Sort(letters)
	tokens = append(tokens, letters...)
	merges := learnMerges(words, func(w string) []string { return strings.Split(w, "") }, vocabularySize-len(tokens))
	level := func(prefix bool) map[string]any {
		return map[string]any{"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true, "use_regex": true}
	}
	return tokenizerJSON(bpeModel(tokens, merges), nil, level(false), level(true))
}

// byteAlphabet is GPT-2's printable character of every byte: printable Latin-1 stands for itself, the rest follow from
// U+0100.
func byteAlphabet() [256]string {
	var out [256]string
	next := rune(0x100)
	for b := range 256 {
		c := rune(b)
		if !(c >= '!' && c <= '~') && !(c >= 0xA1 && c <= 0xAC) && !(c >= 0xAE && c <= 0xFF) {
			c = next
			next++
		}
		out[b] = string(c)
	}
	return out
}

// bpeModel is the model section: tokens first, then one for each merge.
func bpeModel(tokens []string, merges []pair) map[string]any {
	vocab := map[string]int{}
	for _, t := range tokens {
		vocab[t] = len(vocab)
	}
	var pairs []any
	for _, m := range merges {
		if _, known := vocab[m.left+m.right]; !known {
			vocab[m.left+m.right] = len(vocab)
		}
		pairs = append(pairs, []string{m.left, m.right})
	}
	return map[string]any{
		"type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil, "end_of_word_suffix": nil,
		"fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": pairs,
	}
}

func tokenizerJSON(model, normalizer, preTokenizer, decoder map[string]any) map[string]any {
	var added []any
	for id, s := range specials {
		added = append(added, map[string]any{"id": id, "content": s, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
	}
	orNil := func(m map[string]any) any {
		if m == nil {
			return nil
		}
		return m
	}
	return map[string]any{
		"version": "1.0", "truncation": nil, "padding": nil, "added_tokens": added, "normalizer": orNil(normalizer),
		"pre_tokenizer": orNil(preTokenizer), "post_processor": nil, "decoder": decoder, "model": model,
	}
}

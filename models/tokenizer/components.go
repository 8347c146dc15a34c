package tokenizer

import (
	"errors"
	"fmt"
	"strings"
)

// marker stands for a space in SentencePiece-style vocabularies.
const marker = "▁"

// component is one normaliser, pre-tokenizer, post-processor or decoder of the file; only the fields of
// its type are set.
type component struct {
	Type           string         `json:"type"`
	Normalizers    []component    `json:"normalizers"`
	PreTokenizers  []component    `json:"pretokenizers"`
	Processors     []component    `json:"processors"`
	Decoders       []component    `json:"decoders"`
	Prepend        string         `json:"prepend"`
	Pattern        *pattern       `json:"pattern"`
	Content        string         `json:"content"`
	Behavior       string         `json:"behavior"`
	Invert         bool           `json:"invert"`
	Replacement    string         `json:"replacement"`
	PrependScheme  *string        `json:"prepend_scheme"`
	AddPrefixSpace *bool          `json:"add_prefix_space"`
	Split          *bool          `json:"split"`
	UseRegex       *bool          `json:"use_regex"`
	Start          int            `json:"start"`
	Stop           int            `json:"stop"`
	Single         []templatePart `json:"single"`
	SpecialTokens  map[string]struct {
		IDs []int32 `json:"ids"`
	} `json:"special_tokens"`
}

type pattern struct {
	String *string
	Regex  *string
}

type templatePart struct {
	SpecialToken *struct {
		ID string `json:"id"`
	}
	Sequence *struct {
		ID string `json:"id"`
	}
}

// flatten gives the parts of nested sequences in order.
func (c *component) flatten(parts func(component) []component) []component {
	if c == nil {
		return nil
	}
	if c.Type != "Sequence" {
		return []component{*c}
	}
	var all []component
	for _, part := range parts(*c) {
		all = append(all, part.flatten(parts)...)
	}
	return all
}

// normalizer rewrites text before merging: composition, then a marker in front, then markers for spaces.
type normalizer struct {
	compose bool // NFC
	prepend bool // marker before every stretch of text (legacy Llama: the dummy prefix)
	replace bool // ' ' → marker
}

func (n *normalizer) read(c *component) error {
	for _, part := range c.flatten(func(c component) []component { return c.Normalizers }) {
		switch {
		case part.Type == "NFC":
			n.compose = true
		case part.Type == "Prepend" && part.Prepend == marker:
			n.prepend = true
		case part.Type == "Replace" && part.Content == marker && part.Pattern.is(" "):
			n.replace = true
		case part.Type == "Prepend", part.Type == "Replace":
			return fmt.Errorf("%s is supported only with %q for a space", part.Type, marker)
		default:
			return fmt.Errorf("type %q is not supported (supported: NFC, Prepend, Replace, Sequence)", part.Type)
		}
	}
	return nil
}

// is reports whether the pattern is exactly this string.
func (p *pattern) is(s string) bool { return p != nil && p.String != nil && *p.String == s }

// preTokenizer cuts normalised text into pieces that merges never cross.
type preTokenizer struct {
	byteLevel   bool       // symbols are bytes, else characters
	prefixSpace bool       // byte-level: a space before a stretch of text that has none
	split       splitKind  // byte-level: the pattern of the pieces
	metaspace   bool       // ' ' → marker here, not in the normaliser
	prefix      prefixRule // metaspace: when a marker is put in front
	cutMarkers  bool       // metaspace: cut before every marker
}

// splitKind is a pre-tokenizer pattern with a scanner of its own in scan.go.
type splitKind int

const (
	splitNone splitKind = iota
	splitGPT2
	splitLlama3
	splitQwen2
)

// prefixRule says where Metaspace puts the dummy prefix.
type prefixRule int

const (
	prefixNever  prefixRule = iota
	prefixFirst             // only at the very start of the text
	prefixAlways            // at the start of every stretch between added tokens
)

const (
	qwen2Pattern  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	llama3Pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

func (p *preTokenizer) read(c *component) error {
	for _, part := range c.flatten(func(c component) []component { return c.PreTokenizers }) {
		var err error
		switch part.Type {
		case "ByteLevel":
			err = p.readByteLevel(part)
		case "Metaspace":
			err = p.readMetaspace(part)
		case "Split":
			err = p.readSplit(part)
		default:
			err = fmt.Errorf("type %q is not supported (supported: ByteLevel, Metaspace, Split, Sequence)", part.Type)
		}
		if err != nil {
			return err
		}
	}
	if p.byteLevel && p.metaspace || !p.byteLevel && p.split != splitNone {
		return errors.New("this combination of Split, Metaspace and ByteLevel is not supported")
	}
	return nil
}

func (p *preTokenizer) readByteLevel(c component) error {
	p.byteLevel = true
	p.prefixSpace = c.AddPrefixSpace == nil || *c.AddPrefixSpace
	if c.UseRegex == nil || *c.UseRegex {
		if p.split != splitNone {
			return errors.New("ByteLevel with use_regex after a Split is not supported")
		}
		p.split = splitGPT2
	} else if p.prefixSpace && p.split != splitNone {
		return errors.New("ByteLevel with add_prefix_space after a Split is not supported")
	}
	return nil
}

func (p *preTokenizer) readMetaspace(c component) error {
	if c.Replacement != marker {
		return fmt.Errorf("Metaspace replacement %q is not supported, only %q is", c.Replacement, marker)
	}
	rule, err := metaspacePrefix(c)
	p.metaspace, p.prefix = true, rule
	p.cutMarkers = c.Split == nil || *c.Split
	return err
}

// metaspacePrefix reads prepend_scheme, or add_prefix_space of older files.
func metaspacePrefix(c component) (prefixRule, error) {
	scheme := "always"
	if c.PrependScheme != nil {
		scheme = *c.PrependScheme
	} else if c.AddPrefixSpace != nil && !*c.AddPrefixSpace {
		scheme = "never"
	}
	rule, ok := map[string]prefixRule{"always": prefixAlways, "first": prefixFirst, "never": prefixNever}[scheme]
	if !ok {
		return 0, fmt.Errorf("Metaspace prepend_scheme %q is not one of always, first, never", scheme)
	}
	return rule, nil
}

func (p *preTokenizer) readSplit(c component) error {
	if c.Pattern.is(" ") { // Gemma: spaces are markers by now, this never matches
		return nil
	}
	if c.Pattern == nil || c.Pattern.Regex == nil || c.Behavior != "Isolated" || c.Invert {
		return errors.New("Split is supported only with a known Regex, behavior Isolated, invert false")
	}
	switch *c.Pattern.Regex {
	case qwen2Pattern:
		p.split = splitQwen2
	case llama3Pattern:
		p.split = splitLlama3
	default:
		return fmt.Errorf("Split pattern %.200q is not supported, only those of Llama-3 and Qwen2 are", *c.Pattern.Regex)
	}
	return nil
}

// readPostProcessor keeps the ids that TemplateProcessing puts before a single text.
func (t *Tokenizer) readPostProcessor(c *component) error {
	for _, part := range c.flatten(func(c component) []component { return c.Processors }) {
		switch part.Type {
		case "ByteLevel": // changes offsets only
		case "TemplateProcessing":
			for _, item := range part.Single {
				if item.Sequence != nil {
					break
				}
				if item.SpecialToken == nil {
					return errors.New("TemplateProcessing has a part that is neither SpecialToken nor Sequence")
				}
				token, ok := part.SpecialTokens[item.SpecialToken.ID]
				if !ok {
					return fmt.Errorf("TemplateProcessing uses %q, which special_tokens does not define", item.SpecialToken.ID)
				}
				t.before = append(t.before, token.IDs...)
			}
		default:
			return fmt.Errorf("type %q is not supported (supported: ByteLevel, TemplateProcessing, Sequence)", part.Type)
		}
	}
	return nil
}

// hasMarkers says whether spaces are markers when merging starts.
func (t *Tokenizer) hasMarkers() bool { return t.normalizer.replace || t.preTokenizer.metaspace }

// markSpaces replaces spaces by markers.
func markSpaces(s string) string { return strings.ReplaceAll(s, " ", marker) }

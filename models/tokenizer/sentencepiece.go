package tokenizer

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/profuser/profuser/models/tokenizer/detokenize"
	"github.com/profuser/profuser/models/tokenizer/normalize"
	"github.com/profuser/profuser/models/tokenizer/pretokenize"
	"github.com/profuser/profuser/models/tokenizer/subword"
	"github.com/profuser/profuser/models/tokenizer/vocabfile"
)

// sentencePieceDecoder is how transformers decodes the tokens of a SentencePiece model.
const sentencePieceDecoder = `{"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, ` +
	`{"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}`

// ParseSentencePiece reads the bytes of a tokenizer.model (byte-pair or Unigram). Control pieces, such as
// <s>, are special tokens that Encode finds in the text, as transformers does; the first of them that is
// called <s> comes before a text (Specials). Each stretch between them has its own dummy prefix.
func ParseSentencePiece(data []byte) (*Tokenizer, error) {
	file, err := vocabfile.ReadSentencePiece(data)
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{ids: map[string]int32{}, added: map[string]int32{}, preTokenizer: &pretokenize.Chain{}, byteID: func(byte) int32 { return -1 }}
	if t.decoders, err = detokenize.Read(json.RawMessage(sentencePieceDecoder)); err != nil {
		return nil, err
	}
	if t.normalizer, err = normalizerOf(file); err != nil {
		return nil, err
	}
	if err := t.placePieces(file); err != nil {
		return nil, err
	}
	switch file.Algorithm {
	case vocabfile.BPE:
		err = t.mergePieces(file)
	case vocabfile.Unigram:
		err = t.scorePieces(file)
	default:
		err = errors.New("trainer_spec: model_type is neither unigram nor bpe")
	}
	if err != nil {
		return nil, err
	}
	t.setByteIDs()
	if id, ok := t.ID("<s>"); ok && t.at(id).special {
		t.before = []int32{id}
	}
	t.finish()
	return t, nil
}

func normalizerOf(file *vocabfile.SentencePiece) (*normalize.Chain, error) {
	if file.SpaceAsSuffix {
		return nil, errors.New("trainer_spec: treat_whitespace_as_suffix is not supported")
	}
	o := normalize.SentencePieceOptions{Prefix: file.DummyPrefix, RemoveExtra: file.RemoveExtraSpaces, Escape: file.EscapeSpaces}
	for _, p := range file.Pieces {
		if p.Kind == vocabfile.UserDefined {
			o.Fixed = append(o.Fixed, p.Token)
		}
	}
	if len(file.Charsmap) > 0 {
		m, err := normalize.ReadCharsmap(file.Charsmap)
		if err != nil {
			return nil, fmt.Errorf("normalizer_spec: %w", err)
		}
		o.Charsmap = m
	}
	return normalize.SentencePiece(o), nil
}

// placePieces fills the vocabulary: control pieces become special added tokens.
func (t *Tokenizer) placePieces(file *vocabfile.SentencePiece) error {
	if len(file.Pieces) > maxVocab {
		return fmt.Errorf("%d pieces, at most %d are allowed", len(file.Pieces), maxVocab)
	}
	meaning := &meaning{byteFallback: true, marks: file.EscapeSpaces}
	var special []addedJSON
	for id, p := range file.Pieces {
		if err := meaning.addTo(t, p.Token, int64(id)); err != nil {
			return err
		}
		e := &t.entries[id]
		if e.byteFallback = p.Kind == vocabfile.Byte; e.byteFallback && len(e.bytes) != 1 {
			return fmt.Errorf("piece %d is a byte, but its token is %.40q", id, p.Token)
		}
		if p.Kind != vocabfile.Byte && len(e.bytes) == 1 {
			e.bytes = []byte(p.Token)
		}
		if p.Kind == vocabfile.Control || p.Kind == vocabfile.Unknown {
			special = append(special, addedJSON{ID: int64(id), Content: p.Token, Special: true})
		}
		e.control = e.control || p.Kind == vocabfile.UserDefined && isMarkup(p.Token)
	}
	return t.addTokens(special)
}

// found says whether the piece can be found in text.
func found(p vocabfile.Piece) bool {
	return p.Kind == vocabfile.Normal || p.Kind == vocabfile.UserDefined
}

// unknownPiece is the id of the unknown piece, -1 without one.
func unknownPiece(file *vocabfile.SentencePiece) int32 {
	return int32(slices.IndexFunc(file.Pieces, func(p vocabfile.Piece) bool { return p.Kind == vocabfile.Unknown }))
}

// scorePieces makes a Unigram model. A user-defined piece wins over all others of its length.
func (t *Tokenizer) scorePieces(file *vocabfile.SentencePiece) error {
	lowest, highest := math.Inf(1), math.Inf(-1)
	for _, p := range file.Pieces {
		if p.Kind == vocabfile.Normal {
			lowest, highest = min(lowest, float64(p.Score)), max(highest, float64(p.Score))
		}
	}
	var scored []subword.Scored
	for id, p := range file.Pieces {
		if !found(p) {
			continue
		}
		score := float64(p.Score)
		if p.Kind == vocabfile.UserDefined {
			score = float64(float32(len(p.Token))*float32(highest) - 0.1)
		}
		scored = append(scored, subword.Scored{Token: p.Token, ID: int32(id), Score: score})
	}
	if math.IsInf(lowest, 0) {
		return errors.New("the model has no ordinary pieces")
	}
	model := subword.NewUnigram(scored, subword.UnigramOptions{Unknown: unknownPiece(file), ByteFallback: file.ByteFallback, Single: true, MinScore: lowest})
	for id, p := range file.Pieces {
		if p.Kind == vocabfile.Byte {
			model.SetByte(t.entries[id].bytes[0], int32(id))
		}
	}
	t.model = model
	return nil
}

// mergePieces makes a byte-pair model: two pieces merge if their union is a piece; the higher its score,
// the earlier.
func (t *Tokenizer) mergePieces(file *vocabfile.SentencePiece) error {
	vocabulary, frozen := make(map[string]int32, len(file.Pieces)), map[string]int32{}
	order := make([]int32, 0, len(file.Pieces))
	for id, p := range file.Pieces {
		switch p.Kind {
		case vocabfile.Normal:
			vocabulary[p.Token] = int32(id)
			order = append(order, int32(id))
		case vocabfile.UserDefined:
			frozen[p.Token] = int32(id)
		case vocabfile.Byte:
			vocabulary[p.Token] = int32(id)
		case vocabfile.Unused:
			return fmt.Errorf("piece %d (%.40q) is unused, which is not supported in a byte-pair model", id, p.Token)
		}
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(file.Pieces[b].Score, file.Pieces[a].Score) })
	o := subword.BPEOptions{Vocabulary: vocabulary, Unknown: unknownPiece(file), FuseUnknown: true, ByteFallback: file.ByteFallback, Frozen: frozen}
	pairs := make([]pair, 0, 4*len(order))
	rank := -1
	previous := float32(0)
	for _, id := range order {
		p := file.Pieces[id]
		if rank < 0 || p.Score != previous {
			rank++
			previous = p.Score
		}
		for i := range p.Token {
			left, okLeft := vocabulary[p.Token[:i]]
			right, okRight := vocabulary[p.Token[i:]]
			if okLeft && okRight && i > 0 {
				pairs = append(pairs, pair{rank, left, right, id})
			}
		}
	}
	model := subword.NewBPE(o, len(pairs))
	for _, p := range pairs {
		model.AddPair(p.rank, p.left, p.right, p.union)
	}
	t.model, t.cutAtMarker = model, file.EscapeSpaces && model.CutsAtMarker()
	return nil
}

// pair is a merge of ids.
type pair struct {
	rank               int
	left, right, union int32
}

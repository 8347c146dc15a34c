package world

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Skills in the order of tables.
const (
	Arithmetic     = "arithmetic"
	Facts          = "facts"
	Sequences      = "sequences"
	Pronouns       = "pronouns"
	Misconceptions = "misconceptions"
)

// Skills lists all skills.
var Skills = []string{Arithmetic, Facts, Sequences, Pronouns, Misconceptions}

// Item is one question with its answers.
type Item struct {
	// Skill is the family.
	Skill string
	// Units are the pieces of knowledge that the answer needs, such as one fact; a model that lacks one does not know it.
	Units []string
	// Prompt is the user's turn.
	Prompt string
	// Own is the right answer in the sources' short style.
	Own string
	// Reference is the right answer in the fuller style.
	Reference string
	// WrongOwn and WrongReference are a wrong answer in both styles.
	WrongOwn, WrongReference string
	// Answer is the key: a number, or one of Candidates.
	Answer string
	// Candidates are the possible answers; nil for numbers.
	Candidates []string
	// Wording decides whether the item is held out.
	Wording string
	// Operands marks arithmetic, "seen" or "unseen" in any training.
	Operands string
}

// HeldOut says whether no model may train on the item: a fifth of all wordings, and unseen operands.
func (i Item) HeldOut() bool { return i.Operands == "unseen" || share("wording", i.Wording) < 0.2 }

// Tags are the labels written with the item.
func (i Item) Tags() []string {
	if i.Operands != "" {
		return []string{i.Skill, "operands:" + i.Operands}
	}
	return []string{i.Skill}
}

// draw makes a random item of a skill.
var draw = map[string]func(r *rand.Rand) Item{
	Arithmetic: arithmeticItem, Facts: factItem, Sequences: sequenceItem, Pronouns: pronounItem, Misconceptions: misconceptionItem,
}

// Random is the generator of a seed and a purpose.
func Random(seed int64, purpose string) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(seed), number("random", purpose)))
}

// Items draws n different items a skill, held out or not, in turn over the skills. The error says how many there are when
// no other one comes.
func Items(r *rand.Rand, n int, heldOut bool) ([]Item, error) {
	seen := map[string]bool{}
	var out []Item
	for k := range n {
		for _, skill := range Skills {
			for missed := 0; ; missed++ {
				if missed > maxMissed {
					return nil, tooFew(k, n, skill)
				}
				i := draw[skill](r)
				wantUnseen := heldOut && skill == Arithmetic && k%4 == 3
				if i.HeldOut() != heldOut || seen[i.Prompt] || (skill == Arithmetic && (i.Operands == "unseen") != wantUnseen) {
					continue
				}
				seen[i.Prompt] = true
				out = append(out, i)
				break
			}
		}
	}
	return out, nil
}

// maxMissed is how many draws in a row may bring no new item.
const maxMissed = 100_000

func tooFew(there, wanted int, skill string) error {
	return fmt.Errorf("the world has about %d items of %s of this kind, %d are asked for", there, skill, wanted)
}

// Select draws n different items of a skill that are accepted; same items are those of one key. The error says how many
// there are when no other one comes.
func Select(r *rand.Rand, skill string, n int, accept func(Item) bool, key func(Item) string) ([]Item, error) {
	seen := map[string]bool{}
	var out []Item
	for missed := 0; len(out) < n; missed++ {
		if missed > maxMissed {
			return nil, tooFew(len(out), n, skill)
		}
		if i := draw[skill](r); accept(i) && !seen[key(i)] {
			seen[key(i)] = true
			out, missed = append(out, i), 0
		}
	}
	return out, nil
}

// number is a stable hash of strings.
func number(parts ...string) uint64 {
	h := sha256.Sum256([]byte(strings.Join(parts, "\x1f")))
	return binary.LittleEndian.Uint64(h[:8])
}

// share is a stable hash in [0, 1).
func share(parts ...string) float64 { return float64(number(parts...)>>11) / (1 << 53) }

// pick is a random element.
func pick[T any](r *rand.Rand, s []T) T { return s[r.IntN(len(s))] }

// other is a random element that differs from x.
func other(r *rand.Rand, s []string, x string) string {
	for {
		if y := pick(r, s); y != x {
			return y
		}
	}
}

// options draws n different elements with x among them, in random order.
func options(r *rand.Rand, s []string, x string, n int) []string {
	out := []string{x}
	for _, i := range r.Perm(len(s)) {
		if len(out) < n && s[i] != x {
			out = append(out, s[i])
		}
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// lettered writes options as " A) x B) y".
func lettered(opts []string) string {
	var b strings.Builder
	for i, o := range opts {
		fmt.Fprintf(&b, " %c) %s", 'A'+i, o)
	}
	return b.String()
}

// choice is an option with its letter.
func choice(opts []string, x string) string {
	for i, o := range opts {
		if o == x {
			return fmt.Sprintf("%c) %s", 'A'+i, o)
		}
	}
	return x
}

package advantage

// Verdict is what a judge says of two responses, shown in one order.
type Verdict struct {
	// First and Second are the sources of the responses, in the order shown.
	First, Second string
	// Winner is First, Second, or "" for a tie.
	Winner string
}

// Count gives each source the number of comparisons it won: every pair is shown in both orders, a verdict is worth one,
// a tie half to both. A judge that prefers a place rather than an answer so gives both sides one. A pair that was not
// answered in both orders does not count; sources without a pair that counts are absent. Several verdicts of one order:
// the last one counts. A winner that is neither of the two is no answer.
//
// Source: spec/advantage.md, method judge; both orders as in Zheng et al. 2023 (MT-Bench, arXiv 2306.05685), who call a
// pair won only when both agree, which gives the same difference between two sources up to the factor.
func Count(verdicts []Verdict) map[string]float64 {
	last := map[[2]string]string{}
	for _, v := range verdicts {
		if v.First != v.Second && (v.Winner == "" || v.Winner == v.First || v.Winner == v.Second) {
			last[[2]string{v.First, v.Second}] = v.Winner
		}
	}
	wins := map[string]float64{}
	for pair, winner := range last {
		if _, both := last[[2]string{pair[1], pair[0]}]; !both {
			continue
		}
		for _, source := range pair {
			switch winner {
			case source:
				wins[source]++
			case "":
				wins[source] += 0.5
			default:
				wins[source] += 0
			}
		}
	}
	return wins
}

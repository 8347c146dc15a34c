package advantage

import "github.com/profuser/profuser/schemas"

// Count gives each response the number of comparisons it won: every pair is shown in both orders, a verdict
// is worth one, a tie half to both. A judge that prefers a place rather than an answer so gives both sides one. A pair
// that was not answered in both orders does not count; responses without a pair that counts are absent. Several verdicts
// of one order: the last one counts. A winner that is neither of the two is no answer.
//
// Source: spec/advantage.md, method judge; both orders as in Zheng et al. 2023 (MT-Bench, arXiv 2306.05685), who call a
// pair won only when both agree, which gives the same difference between two responses up to the factor.
func Count(verdicts []schemas.Verdict) map[schemas.ResponseKey]float64 {
	shares := map[string]float64{schemas.WinnerFirst: 1, schemas.WinnerTie: 0.5, schemas.WinnerSecond: 0} // of the first
	last := map[[2]schemas.ResponseKey]float64{}
	for _, v := range verdicts {
		first, second := v.Keys()
		if share, ok := shares[v.Winner]; ok && first != second {
			last[[2]schemas.ResponseKey{first, second}] = share
		}
	}
	wins := map[schemas.ResponseKey]float64{}
	for pair, share := range last {
		if _, both := last[[2]schemas.ResponseKey{pair[1], pair[0]}]; both {
			wins[pair[0]] += share
			wins[pair[1]] += 1 - share
		}
	}
	return wins
}

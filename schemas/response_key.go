package schemas

// ResponseKey names one response of a run: several samples of one source answer the same prompt.
type ResponseKey struct {
	// ID is the prompt's id.
	ID string
	// Source wrote the response.
	Source string
	// Sample is the response's number among those of its source, from 0.
	Sample int32
}

// Key names the response.
func (g *Generation) Key() ResponseKey { return ResponseKey{g.ID, g.Source, g.Sample} }

// Key names the response that is scored.
func (r *Reward) Key() ResponseKey { return ResponseKey{r.ID, r.Source, r.Sample} }

// Key names the response that was read.
func (r *TeacherForcing) Key() ResponseKey { return ResponseKey{r.ID, r.Source, r.Sample} }

// Keys name the responses that are compared, in the order shown.
func (v *Verdict) Keys() (first, second ResponseKey) {
	return ResponseKey{v.ID, v.First, v.FirstSample}, ResponseKey{v.ID, v.Second, v.SecondSample}
}

// Key names the winner's response.
func (s *Selection) Key() ResponseKey { return ResponseKey{s.ID, s.Source, s.Sample} }

// Key names the candidate's response to the prompt id.
func (c *Candidate) Key(id string) ResponseKey { return ResponseKey{id, c.Source, c.Sample} }

// Key names the response that the example is made from.
func (e *FusionExample) Key() ResponseKey { return ResponseKey{e.ID, e.Source, e.Sample} }

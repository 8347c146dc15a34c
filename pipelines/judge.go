package pipelines

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/models/serving"
	"github.com/profuser/profuser/pipelines/changes"
	"github.com/profuser/profuser/pipelines/wanted"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/judge"
)

// judge compares the responses in pairs, if the method needs it.
func (r *Run) judge(ctx context.Context) (err error) {
	in := r.config.Advantage.Inference
	if in.Method != advantage.Judge {
		r.say("%-24s method %s does not need it", "judge", in.Method)
		return nil
	}
	defer closing(&err, judge.Models.Close)
	step := judge.Step{
		Judge: r.judgeModel(), Criteria: in.Criteria, Prompts: wanted.Prompts, Output: wanted.Verdicts, Filters: advantage.Filters(in.Filters),
	}
	for _, name := range r.competitors() {
		if name != r.config.Target.Model || r.config.Target.Compete {
			step.Generations = append(step.Generations, wanted.Generations(name))
		}
	}
	responses := int64(len(step.Generations) * r.config.Generate.Samples)
	step.Judge = tolerating(step.Judge, r.config.Reward.MaxRejects, r.rows(ctx, wanted.Prompts)*responses*(responses-1))
	step.Footer = r.footer(wanted.Verdicts)
	return r.parts(ctx, "judge", job{
		label: "judge " + in.Judge, calls: step.Judge.Concurrency, rowsEach: int(responses * (responses - 1)), outputs: []string{step.Output}, maxRejects: r.config.Reward.MaxRejects,
		build: func(s beam.Scope, url string, open int, parts beam.PCollection) beam.PCollection {
			return judge.Compare(s, step, url, open, parts)
		},
	})
}

// checkJudge looks at the judge, if there is one. A served one that is a source too is asked again for what it judges with.
func (r *Run) checkJudge(ctx context.Context) error {
	in := r.config.Advantage.Inference
	if in.Method != advantage.Judge {
		return nil
	}
	m := r.judgeModel()
	if m.Endpoint.URLs == "" {
		return r.checkModel(ctx, in.Judge, false)
	}
	found, ok := r.checked[in.Judge]
	if err := r.checkServed(ctx, m, serving.Need{Chat: true}); err != nil {
		return err
	}
	if ok {
		r.checked[in.Judge] = found
	}
	return nil
}

// judgeModel is the judge's description; a served one needs no tokenizer here.
func (r *Run) judgeModel() inflight.Model {
	m := r.model(r.config.Advantage.Inference.Judge)
	if m.Endpoint.URLs != "" {
		m.Endpoint.Reward = string(serving.Judge)
	}
	return m
}

// ImportName is the object in a dataset's folder that says from which files it is imported, made before its first part.
const ImportName = "_IMPORT.json"

// brought says whether a model's dataset comes from files instead of the model: it is not at hand, or an import has begun. One
// that is not whole is an error; how is the import's flags.
func (r *Run) brought(ctx context.Context, model, name, how string) (bool, error) {
	begun, err := r.store.Exists(ctx, name+"/"+ImportName)
	if err != nil || !begun && r.model(model).AtHand() {
		return false, err
	}
	found, err := r.stand(ctx, name)
	if err != nil {
		return true, err
	}
	if !begun || found.Of(name).Kind != changes.Finished {
		return true, fmt.Errorf("%s comes from files and is not there yet, or not whole: profuser import %s %s FILE brings it", name, how, model)
	}
	r.say("%-24s imported before", name)
	return true, nil
}

// atHand are the competitors that can be asked.
func (r *Run) atHand() (names []string) {
	for _, name := range r.competitors() {
		if r.model(name).AtHand() {
			names = append(names, name)
		}
	}
	return names
}

// CheckJudge says what is wrong with the chat model that method judge asks, if that is the method.
func CheckJudge(ctx context.Context, c *config.Config) error {
	r := &Run{config: c, checked: map[string]checkedModel{}}
	return r.checkJudge(ctx)
}

package runner

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
)

// graphText shows a pipeline's transforms as a tree: each leaf with what it is and its collections.
func graphText(p *pipepb.Pipeline) string {
	var b strings.Builder
	transforms := p.GetComponents().GetTransforms()
	var show func(ids []string, indent string)
	show = func(ids []string, indent string) {
		for _, id := range ids {
			t := transforms[id]
			fmt.Fprintf(&b, "%s%s", indent, strings.TrimSuffix(path.Base(t.GetUniqueName()), "]"))
			if len(t.GetSubtransforms()) == 0 {
				what := strings.TrimSuffix(strings.TrimPrefix(t.GetSpec().GetUrn(), "beam:transform:"), ":v1")
				fmt.Fprintf(&b, "  (%s: %s -> %s)", what, collections(t.GetInputs()), collections(t.GetOutputs()))
			}
			b.WriteString("\n")
			show(t.GetSubtransforms(), indent+"  ")
		}
	}
	show(p.GetRootTransformIds(), "")
	return b.String()
}

func collections(names map[string]string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(slices.Sorted(maps.Values(names)), " ")
}

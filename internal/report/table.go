package report

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// table prints the held-out results, a row for each model.
func (s Summary) table(w io.Writer) error {
	if len(s.Models) == 0 {
		_, err := fmt.Fprintln(w, "nothing has been evaluated yet (profuser evaluate)")
		return err
	}
	fmt.Fprintf(w, "Held out, %d items: cross-entropy of the references (nats per byte), exact-match accuracy in all and by skill\n\n", s.Items)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "model\trole\tnats/byte\taccuracy\t")
	for _, k := range s.skills() {
		fmt.Fprint(t, k, "\t")
	}
	fmt.Fprintln(t)
	for _, m := range s.Models {
		fmt.Fprintf(t, "%s\t%s\t%.4f\t%.3f\t", m.Name, m.Role, m.NatsPerByte, m.Accuracy)
		for _, k := range s.skills() {
			fmt.Fprintf(t, "%.2f\t", m.BySkill[k])
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

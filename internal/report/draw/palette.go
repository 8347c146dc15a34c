package draw

import (
	"fmt"
	"html/template"
	"strings"
)

// colour is one name of the palette with its values on light and on dark ground.
type colour struct{ name, light, dark string }

// palette holds all colours of a page: grounds and texts, series (c), and the statuses of tokens (s). The series' colours
// are told apart by those who do not see red or green; the tests compute that, and the contrast of every pair in use.
var palette = []colour{
	{"bg", "#fbfbfa", "#14171c"},
	{"card", "#ffffff", "#1b2027"},
	{"fg", "#1d2330", "#e6e9ee"},
	{"soft", "#535c6a", "#a3adba"},
	{"line", "#d9dde4", "#3a424e"},
	{"link", "#2a5db0", "#8ab4f8"},
	{"win", "#e4efe8", "#20352a"},
	{"c0", "#1f74bc", "#7cc0f5"},
	{"c1", "#a83c08", "#e0702c"},
	{"c2", "#1a9a76", "#3fc795"},
	{"c3", "#7a2a92", "#a863cf"},
	{"c4", "#a68c10", "#e3cf52"},
	{"c5", "#2b2a6e", "#7073e8"},
	{"c6", "#8c1f4a", "#ffb9d3"},
	{"c7", "#7a8494", "#8791a0"},
	{"s0", "#d4d8df", "#454d59"},
	{"s1", "#bfe0ca", "#245a3b"},
	{"s2", "#fbe6b8", "#6b5114"},
	{"s3", "#f5cfc4", "#7c3a29"},
	{"s4", "#dccff2", "#50397f"},
}

// colours is the number of classes c0, c1, … .
const colours = 8

// style is how drawings look, by the palette's names.
const style = `svg text{fill:var(--fg)}svg .v{fill:var(--soft);font-size:12px}svg .on{paint-order:stroke;stroke:var(--card);stroke-width:3px}svg .grid{stroke:var(--line)}svg .mark{stroke:var(--soft);stroke-dasharray:4 3}svg .edge{fill:none;stroke:var(--fg);stroke-width:1.2}svg .hatch{fill:none;stroke:var(--fg);stroke-opacity:.55}`

// CSS gives a page the palette, light or dark as the reader's system or the attribute data-theme of the root says, and the
// look of drawings.
func CSS() template.CSS {
	var light, dark strings.Builder
	for _, c := range palette {
		fmt.Fprintf(&light, "--%s:%s;", c.name, c.light)
		fmt.Fprintf(&dark, "--%s:%s;", c.name, c.dark)
	}
	return template.CSS(fmt.Sprintf(":root{color-scheme:light;%[1]s}\n@media(prefers-color-scheme:dark){:root:not([data-theme=light]){color-scheme:dark;%[2]s}}\n:root[data-theme=dark]{color-scheme:dark;%[2]s}\n%[3]s%[4]s",
		light.String(), dark.String(), style, classes()))
}

// classes are the rules that give the classes their colours: fills, and strokes of lines.
func classes() string {
	var b strings.Builder
	for i := range colours {
		fmt.Fprintf(&b, ".c%[1]d{fill:var(--c%[1]d)}.l%[1]d{fill:none;stroke:var(--c%[1]d);stroke-width:1.8}", i)
	}
	for i := range 5 {
		fmt.Fprintf(&b, ".s%[1]d{background:var(--s%[1]d);fill:var(--s%[1]d)}", i)
	}
	return b.String()
}

// onWhite is the style of a drawing in a file of its own, with colours instead of names: not every program that shows SVG
// knows variables.
func onWhite() string {
	var pairs []string
	for _, c := range palette {
		pairs = append(pairs, "var(--"+c.name+")", c.light)
	}
	return strings.NewReplacer(pairs...).Replace(style + classes())
}

// Series names the values of a group, or the lines of a chart, and their colour classes.
type Series struct{ Names, Classes []string }

// Numbered gives names the classes c0, c1, …, from the first one on.
func Numbered(first int, names ...string) Series {
	s := Series{Names: names}
	for i := range names {
		s.Classes = append(s.Classes, Class(first+i))
	}
	return s
}

// Class is the colour class of the k-th series.
func Class(k int) string { return fmt.Sprintf("c%d", k%colours) }

// Colours is the number of colour classes of series.
func Colours() int { return colours }

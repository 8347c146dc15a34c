// Package browser makes the part of the report in which a person looks through the prompts of a run.
//
// Flow in: the datasets under a run's out folder, part by part and only the columns that are shown; flow out: one piece of
// HTML for the report's page, with its style, its program and its data. The data are JSON, compressed, in base64: an index
// of all prompts, which the page reads at once, then chunks of prompts, and of aligned tokens, which it reads when they are
// looked at. Nothing is fetched, so the page works from a disk and when it is sent to somebody.
//
// What is known of a prompt is gathered here and decided elsewhere: winners, votes and margins are those of selections/,
// favourites, filters and right answers come from fusion/advantage and fusion/benchmark. A run that has not come so far has
// a browser of what is there. The package draws no figures; those are the report's.
package browser

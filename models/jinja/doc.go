// Package jinja renders Jinja templates as the Jinja2 of transformers does: what chat templates need, on the library
// gonja.
//
// In: a template's source and values (strings, bools, numbers, nil, []any, Object). Out: the text, or an error that says
// whether the template itself refused by raise_exception.
//
// gonja differs from Jinja2 in places that no setting reaches. Where it matters for chat templates this package puts
// other string and list methods, filters and tests into its environment, keeps the order of objects, adds transformers'
// own names (raise_exception, strftime_now, generation, tojson) and rewrites the source before gonja parses it: inline
// ifs inside expressions, negative indexes and line feeds inside tags. testdata of models/chat proves it, and lists in
// differs.txt what still differs.
//
// Nothing is read from disk, and rendering is deterministic: strftime_now always tells the same day.
package jinja

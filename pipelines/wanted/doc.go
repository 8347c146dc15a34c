// Package wanted owns the table of datasets that a configuration makes: their names, the step that makes each, the
// header it must have, and the datasets it is made from, part by part.
//
// Flow in: a configuration, and what is known of its models (digests of files, tokenizers, templates; nothing where models
// were not looked at); flow out: the table, in the order in which steps make it, which pipelines works off and package
// changes compares with what is there. It reads nothing but the files of models, writes nothing and runs nothing.
package wanted

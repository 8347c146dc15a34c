// Package verdict owns what a chat model that judges answers is asked, and how its reply is read.
//
// Flow in: a conversation with one answer or two; flow out: the messages of the question. Flow in: the judge's reply;
// flow out: a number or a preference, or an error if the reply does not end with one in the form that was asked for. A
// verdict is never guessed.
//
// It calls no model and counts nothing: models/serving and transforms/judge ask, fusion/advantage counts.
package verdict

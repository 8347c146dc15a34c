// Package servingtest owns a faulty model server: what goes wrong between a client and a server in real life, on demand
// and by a seed.
//
// Flow in: a server's handler; flow out: the same replies, of which a share is late, cut, damaged, refused or never
// comes. Replies are remembered, so that with faults only these take time. The tests of models/serving and of pipelines
// put it before their servers.
//
// Not here: anything that a program links; only tests import this package.
package servingtest

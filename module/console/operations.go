// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"time"
)

// target is what an operation is carried out on.
type target struct{ Child, Pool, URI string }

// kind is what an operation is about.
type kind int

const (
	onChild kind = iota
	onPool
	onUpstream
)

// operation is something that the admin API can be asked for.
type operation struct {
	Name string
	// Label is on the button, and Title says what is asked in the confirmation.
	Label, Title string
	// Danger says that requests may be cut off.
	Danger bool
	// Done is what the page says when it is done.
	Done string

	on    kind
	path  func(t target) string
	query url.Values
	// wait is how long the page waits for the end. What takes longer goes on, and the
	// page shows how far it is.
	wait time.Duration
	// cuts says what it does to requests and to the service.
	cuts func(s *snapshot, t target) []string
}

// brief is how long the page waits for something that waits for users.
const (
	brief   = time.Second
	patient = 15 * time.Second
)

// operations are all of them.
var operations = []operation{
	{
		Name: "stop", Label: "Stop", Title: "Stop child %s?", Danger: true, Done: "The child is asked to stop.",
		path: childPath("stop"), query: url.Values{"mode": {"immediate"}}, wait: brief, cuts: cutsOfStop,
	},
	{
		Name: "force", Label: "Force the stop", Title: "Stop child %s by force?", Danger: true, Done: "The child is stopped by force.",
		path: childPath("stop"), query: url.Values{"mode": {"force"}}, wait: patient, cuts: cutsOfForce,
	},
	{
		Name: "start", Label: "Start", Title: "Start child %s?", Done: "The child is started.",
		path: childPath("start"), wait: patient, cuts: says("Nothing is cut. Requests that wait at its sockets are served when it is ready."),
	},
	{
		Name: "restart", Label: "Restart", Title: "Restart child %s?", Done: "The child is replaced by a new process.",
		path: childPath("restart"), wait: patient, cuts: cutsOfReplacement,
	},
	{
		Name: "promote", Label: "Promote a standby", Title: "Promote a standby of child %s?", Done: "A standby serves in the place of the process before.",
		path: childPath("promote"), wait: patient, cuts: cutsOfReplacement,
	},
	{
		Name: "reload", Label: "Reload", Title: "Read the configuration file of child %s again?", Done: "The configuration file is in effect.",
		path: childPath("reload"), wait: patient, cuts: cutsOfReload,
	},
	{
		Name: "drain", Label: "Drain", Title: "Drain backend %s?", Done: "The backend gets no new requests.",
		on: onUpstream, path: func(target) string { return "/broker/drain" }, wait: patient, cuts: cutsOfDrain,
	},
	{
		Name: "resume", Label: "Resume", Title: "Resume backend %s?", Done: "The backend gets requests again.",
		on: onUpstream, path: func(target) string { return "/broker/resume" }, wait: patient,
		cuts: says("Nothing is cut. The backend gets requests again, in every pool that has it, when it answers pings."),
	},
	{
		Name: "failover", Label: "Fail over to it", Title: "Move all clients to backend %s?", Done: "All clients go to that backend.",
		on: onUpstream, path: poolPath("failover"), wait: patient,
		cuts: says("Nothing is cut: requests in progress finish where they are.", "Every new request of the pool goes to this backend, until a failback or until it fails."),
	},
	{
		Name: "next", Label: "Fail over", Title: "Move all clients of pool %s to its next backend?", Done: "All clients go to the next backend.",
		on: onPool, path: poolPath("failover"), wait: patient,
		cuts: says("Nothing is cut: requests in progress finish where they are.", "Every new request of the pool goes to the next backend in its order, until a failback or until that one fails."),
	},
	{
		Name: "failback", Label: "Fail back", Title: "Let the clients of pool %s go home?", Done: "The clients go back to their own backends.",
		on: onPool, path: poolPath("failback"), wait: patient,
		cuts: says("Nothing is cut: requests in progress finish where they are.", "A failover made by hand ends, and clients go back to their own backends."),
	},
	{
		Name: "rebalance", Label: "Rebalance", Title: "Spread the clients of pool %s again?", Done: "The clients are spread again.",
		on: onPool, path: poolPath("rebalance"), wait: patient,
		cuts: says("Nothing is cut: requests in progress finish where they are.", "Clients may come to another backend than before, which sessions that are kept there would notice."),
	},
}

func childPath(verb string) func(t target) string {
	return func(t target) string { return "/broker/children/" + url.PathEscape(t.Child) + "/" + verb }
}

func poolPath(verb string) func(t target) string {
	return func(t target) string { return "/broker/pools/" + url.PathEscape(t.Pool) + "/" + verb }
}

// find returns the operation of that name, nil if there is none.
func find(name string) *operation {
	for i := range operations {
		if operations[i].Name == name {
			return &operations[i]
		}
	}
	return nil
}

// On is the name of what it is carried out on.
func (o *operation) On(t target) string {
	switch {
	case t.URI != "":
		return t.URI
	case t.Pool != "":
		return t.Pool
	default:
		return t.Child
	}
}

// run carries it out. done is false if it goes on.
func (o *operation) run(t target, by string) (done bool, err error) {
	query := url.Values{}
	maps.Copy(query, o.query)
	switch o.Name {
	case "drain", "resume":
		query.Set("uri", t.URI)
		query.Set("by", by)
	case "failover":
		query.Set("to", t.URI)
	}
	ended := make(chan error, 1)
	go func() { ended <- call(context.Background(), http.MethodPost, o.path(t), query, nil) }()
	limit := time.NewTimer(o.wait)
	defer limit.Stop()
	select {
	case err := <-ended:
		return true, err
	case <-limit.C:
		return false, nil
	}
}

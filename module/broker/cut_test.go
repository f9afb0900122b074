// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"reflect"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/indoubt"
	"github.com/caddy-broker/caddy-broker/supervisor/account"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

// Of what a dead process had in progress, what may have been executed is in doubt, once,
// and all of it is counted.
func TestLeftRequestsAreInDoubtOnce(t *testing.T) {
	before := host
	defer func() { host = before }()
	host = &hostState{children: make(map[string]*Hosted), events: newEventPump()}
	begun := time.Now()
	at := begun.Add(time.Second)
	host.doubts.Add(indoubt.Record{Time: at, Method: "POST", Path: "/", RequestID: "reported", Reason: "by the process"})
	host.doubts.Add(indoubt.Record{Time: begun.Add(-time.Second), Method: "POST", Path: "/", RequestID: "again", Reason: "by the process"})
	request := func(id string, change func(*account.Request)) account.Request {
		r := account.Request{Begun: begun, Method: "POST", Path: "/", ID: id, Pool: "p", Backend: "b", Unsafe: true, Written: true}
		change(&r)
		return r
	}
	same := func(*account.Request) {}
	c := &Hosted{name: "default"}
	events, end := host.events.hub.Watch(0)
	defer end()
	c.left(&exits.Exit{Reason: "crash", Fault: "panic: no", At: at, InFlight: &exits.InFlight{UnlistedUnsafe: 3}}, []account.Request{
		request("written", same),
		request("reported", same),
		request("again", same),
		request("", same),
		request("", same),
		request("told", func(r *account.Request) { r.Told = true }),
		request("not written", func(r *account.Request) { r.Written = false }),
		request("safe", func(r *account.Request) { r.Unsafe = false }),
		request("elsewhere", func(r *account.Request) { r.Written, r.Open = false, true }),
	})
	var got []string
	for _, d := range host.doubts.List()[2:] {
		got = append(got, d.RequestID+": "+d.Reason)
		if d.Pool != "p" || d.Backend != "b" || d.Method != "POST" || d.Path != "/" || !d.Time.Equal(at) {
			t.Errorf("in doubt is %+v", d)
		}
	}
	want := []string{
		"written: the process crashed: panic: no", "again: the process crashed: panic: no", ": the process crashed: panic: no", ": the process crashed: panic: no",
		"elsewhere: the process crashed: panic: no; it is not known whether a handler had begun to execute it",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("in doubt are %q\nwant %q", got, want)
	}
	if e := <-events; c.inDoubt.Load() != 8 || e.Name != "failover_in_doubt" || e.Data["requests"] != 8 {
		t.Errorf("counted are %d; the event is %+v", c.inDoubt.Load(), e)
	}
}

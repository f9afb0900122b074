// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package broker

import (
	"errors"
	"testing"

	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/document"
	"github.com/caddy-broker/caddy-broker/supervisor"
)

// What is rolled back while an upgrade waits for the children is not handed over: the next
// program would go on with it.
func TestWhatIsRolledBackIsNotHandedOver(t *testing.T) {
	read := func(name string) *document.Document {
		d, err := document.Parse([]byte(`{"admin":{"disabled":true,"config":{"persist":false}},"apps":{"` + name + `":{}}}`))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	spec := func(d *document.Document) *childSpec {
		s := &childSpec{Spec: &supervisor.Spec{Command: []string{"none"}}}
		s.madeOf(d, new(Child))
		return s
	}
	bad, good := read("bad"), read("good")
	from, to := spec(bad), spec(good)
	sup := supervisor.New(supervisor.Config{Name: DefaultChild})
	defer sup.Close()
	sup.Tune(nil, to.Spec) // as after a roll-back
	c := &Hosted{name: DefaultChild, sup: sup, spec: from.Spec, pools: new(poolKeeper), backs: make(chan supervisor.RolledBack, 1)}
	a := &App{logger: zap.NewNop(), doc: bad, Children: map[string]*Child{DefaultChild: {}}, specs: map[string]*childSpec{DefaultChild: from}}
	h := &hostState{children: map[string]*Hosted{DefaultChild: c}, events: newEventPump(), claims: []*App{a}}
	h.shown.Store(bad)
	draft, err := h.draft()
	if err != nil {
		t.Fatal(err)
	}
	c.backs <- supervisor.RolledBack{From: from.Spec, To: to.Spec, Why: "no answer"}
	if _, cancel, err := standStill(t.Context(), h.children); err != nil { // all that was asked before is done
		t.Fatal(err)
	} else {
		cancel()
	}
	if err := h.become(t.Context(), draft, nil, func() { t.Error("it was to be executed") }); !errors.Is(err, errChanged) {
		t.Errorf("the upgrade: %v, want %v", err, errChanged)
	}
	if serves := h.shown.Load(); digest(serves) != digest(good) || serves.By != "roll-back by itself" {
		t.Errorf("%s serves", serves.JSON())
	}
	// Who has loaded it hears of that, and no one else.
	if err := h.keeps(bad); err == nil || h.keeps(good) != nil {
		t.Errorf("of the load that was rolled back is said: %v", err)
	}
}

// An operator's roll-back after which something else was loaded is none any more.
func TestWentBackAndOn(t *testing.T) {
	var h hostState
	h.events = newEventPump()
	for _, name := range []string{"1", "2", "1"} {
		d, err := document.Parse([]byte(`{"apps":{"` + name + `":{}}}`))
		if err != nil {
			t.Fatal(err)
		}
		h.shown.Store(d)
		h.served(d, false)
	}
	to, from, err := h.generations.Back(2)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.wentBack(to, from, "an operator"); err == nil {
		t.Error("it is told as done")
	}
	if v := h.generations.View(); len(v.Refused) > 0 {
		t.Errorf("what serves is refused: %+v", v.Refused)
	}
}

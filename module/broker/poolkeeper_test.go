// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"reflect"
	"slices"
	"testing"

	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
)

// TestKeeperTakesTheServingProcess: what a process that was replaced, or does not
// serve yet, says of the pools is refused and changes nothing.
func TestKeeperTakesTheServingProcess(t *testing.T) {
	var k poolKeeper
	says := func(address string) poolstate.State {
		return poolstate.State{Drains: poolstate.Drains{{Address: address}}}
	}
	if k.take(1, says("a")) == nil {
		t.Error("a process that does not serve yet was believed")
	}
	k.activate(1)
	if err := k.take(1, says("b")); err != nil {
		t.Error(err)
	}
	if got := k.activate(2); !reflect.DeepEqual(got, says("b")) {
		t.Errorf("the next process starts from %v", got)
	}
	if k.take(1, poolstate.State{}) == nil {
		t.Error("a process that was replaced was believed")
	}
	if got := k.activate(3); !reflect.DeepEqual(got, says("b")) {
		t.Errorf("the late report changed the state to %v", got)
	}
}

// The parent answers on the sockets of the process that serves: those of one that
// is only loading, or was replaced, may speak something else.
func TestKeeperTakesTheServingSockets(t *testing.T) {
	var k poolKeeper
	k.activate(1)
	if err := k.takePlain(1, []string{"tcp/:80"}); err != nil {
		t.Error(err)
	}
	if k.takePlain(2, []string{"tcp/:443"}) == nil {
		t.Error("a process that does not serve yet was believed")
	}
	k.activate(2)
	if k.takePlain(1, nil) == nil {
		t.Error("a process that was replaced was believed")
	}
	if got := k.plain(); !slices.Equal(got, []string{"tcp/:80"}) {
		t.Errorf("the parent answers on %v", got)
	}
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
)

// TestKeeperTakesTheServingProcess: what a process that was replaced, or does not
// serve yet, says of the pools is refused and changes nothing.
func TestKeeperTakesTheServingProcess(t *testing.T) {
	var k poolKeeper
	says := func(id int, address string) error {
		plan, _ := json.Marshal(poolstate.Plan{Drains: poolstate.Drains{{Address: address}}})
		return k.take(id, parlance.TopicPlan, plan)
	}
	starts := func(id int) (drained []poolstate.Drains) {
		for _, piece := range k.activate(id) {
			drained = append(drained, piece.(poolstate.Plan).Drains)
		}
		return drained
	}
	want := []poolstate.Drains{{{Address: "b"}}}
	if says(1, "a") == nil {
		t.Error("a process that does not serve yet was believed")
	}
	k.activate(1)
	if err := says(1, "b"); err != nil {
		t.Error(err)
	}
	if got := starts(2); !reflect.DeepEqual(got, want) {
		t.Errorf("the next process starts from %v", got)
	}
	if says(1, "c") == nil {
		t.Error("a process that was replaced was believed")
	}
	if got := starts(3); !reflect.DeepEqual(got, want) {
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

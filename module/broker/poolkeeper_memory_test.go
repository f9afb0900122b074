// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/caddy-broker/caddy-broker/failover/affinity"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/module/internal/poolstate"
)

// inUse is what the heap holds now, in bytes.
func inUse() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// A child whose 26 pools have as many moved clients as pools remember takes no more of
// its parent than these clients are, and another process is told of all of them.
func TestKeeperMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("it moves more than a million clients")
	}
	const pools = 26
	say := func(k *poolKeeper, topic string, v any) {
		data, err := json.Marshal(v)
		if err == nil {
			err = k.take(1, topic, data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	before := inUse()
	k := &poolKeeper{serving: 1}
	var plan poolstate.Plan
	for n := range pools {
		plan.Pools = append(plan.Pools, poolstate.Planned{Name: fmt.Sprint(n)})
	}
	say(k, parlance.TopicPlan, plan)
	keys := make([]byte, 8*affinity.ShardMoves)
	chance := rand.NewChaCha8([32]byte{})
	for n := range pools {
		for part := range affinity.MoveShards {
			_, _ = chance.Read(keys)
			say(k, parlance.TopicMoved, poolstate.Moves{
				Pool: fmt.Sprint(n), Part: part, To: []poolstate.Moved{{Name: "http://10.0.0.1:80", Keys: keys}},
			})
		}
	}
	clients := pools * affinity.MaxMoves * 8
	if took := inUse() - before; took > clients*6/5 {
		t.Errorf("%d bytes are kept for clients of %d bytes", took, clients)
	}
	told := 0
	for _, piece := range k.activate(2) {
		if m, ok := piece.(poolstate.Moves); ok {
			told += len(m.To[0].Keys)
		}
	}
	if told != clients {
		t.Errorf("the next process is told of %d bytes of clients, want %d", told, clients)
	}
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"encoding/json"
	"testing"

	"github.com/caddy-broker/caddy-broker/module/cluster"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
)

// What a parent tells at the start and later reaches the process that serves.
func TestChildIsTold(t *testing.T) {
	t.Cleanup(func() { takeParent(parlance.ParentState{}) })
	data, err := json.Marshal(parlance.ParentState{Network: &parlance.NetworkState{Name: "told"}})
	if err != nil {
		t.Fatal(err)
	}
	new(told).take(parlance.TopicParent, data)
	if s, _ := cluster.State(); s == nil || s.Name != "told" {
		t.Errorf("state %+v", s)
	}
}

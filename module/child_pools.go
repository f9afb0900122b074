// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"encoding/json"
)

// poolsStart takes over what the parent knows of the pools.
func poolsStart(rt *childRuntime, state json.RawMessage) {}

// poolsTold takes something from the parent.
func poolsTold(topic string, data json.RawMessage) {}

// interruptPools ends all waiting for backends.
func interruptPools() {}

func reportInDoubt(rt *childRuntime, q *inflight, reason string) {}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/history"
)

// TestRestOfTheSampler: thousands of upstreams are looked at less often, and neither a
// process that hangs nor a busy machine blinds the history for long.
func TestRestOfTheSampler(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		took     time.Duration
		answered bool
		want     time.Duration
	}{
		{time.Millisecond, true, history.Period},
		{300 * time.Millisecond, true, 30 * time.Second},
		{5 * time.Second, true, maxRest},
		{15 * time.Second, false, history.Period},
	} {
		if got := rest(c.took, c.answered); got != c.want {
			t.Errorf("after %s, answered %t: %s, want %s", c.took, c.answered, got, c.want)
		}
	}
}

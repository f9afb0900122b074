// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"time"
)

// pollEvery is how often Until asks. What it asks is cheap and on this machine.
const pollEvery = 5 * time.Millisecond

// startPatience is how long a process may take until it serves, on a machine
// that is busy with other things.
const startPatience = 60 * time.Second

// Until asks check until it returns nil, and gives up after the time or with ctx;
// the error then says what check said last.
func Until(ctx context.Context, patience time.Duration, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting %s: %w", patience, err)
		case <-tick.C:
		}
	}
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package winservice

import (
	"context"
	"fmt"
	"time"
)

// State is what the service manager says of a service.
type State string

// The states that matter here; any other is on the way to one of them.
const (
	Running State = "running"
	Stopped State = "stopped"
	Moving  State = "moving"
)

// Manager is the system's manager of services. Its errors are the system's.
type Manager interface {
	Create(Service) error
	Remove(name string) error
	Start(name string) error
	// Stop orders the stop and does not wait for it.
	Stop(name string) error
	State(name string) (State, error)
	Close() error
}

// lookEvery is how often a service that is on its way is looked at.
const lookEvery = 200 * time.Millisecond

// Start starts a service and returns when it runs: when its sites are served.
func Start(ctx context.Context, m Manager, name string) error {
	if err := m.Start(name); err != nil {
		return fmt.Errorf("starting service %s: %w", name, err)
	}
	end, err := await(ctx, m, name)
	if err == nil && end == Stopped {
		err = fmt.Errorf("it ended: run `caddy validate --adapter broker` with its configuration to see why")
	}
	if err != nil {
		return fmt.Errorf("starting service %s: %w", name, err)
	}
	return nil
}

// Stop stops a service and returns when it has ended. One that does not run is stopped.
func Stop(ctx context.Context, m Manager, name string) error {
	now, err := m.State(name)
	if err == nil && now != Stopped {
		if err = m.Stop(name); err == nil {
			now, err = awaitEnd(ctx, m, name)
		}
	}
	if err == nil && now != Stopped {
		err = fmt.Errorf("it is %s", now)
	}
	if err != nil {
		return fmt.Errorf("stopping service %s: %w", name, err)
	}
	return nil
}

// Uninstall removes the registration of a service that is stopped.
func Uninstall(m Manager, name string) error {
	now, err := m.State(name)
	if err == nil && now != Stopped {
		err = fmt.Errorf("it is %s: run `caddy broker service stop` before", now)
	}
	if err == nil {
		err = m.Remove(name)
	}
	if err != nil {
		return fmt.Errorf("removing service %s: %w", name, err)
	}
	return nil
}

// await returns the state in which a service comes to rest.
func await(ctx context.Context, m Manager, name string) (State, error) {
	return until(ctx, m, name, func(s State) bool { return s != Moving })
}

// awaitEnd returns when a service has ended; it may still say that it runs when it was
// told to stop.
func awaitEnd(ctx context.Context, m Manager, name string) (State, error) {
	return until(ctx, m, name, func(s State) bool { return s == Stopped })
}

// until looks at a service until enough says that its state is the one to wait for.
func until(ctx context.Context, m Manager, name string, enough func(State) bool) (State, error) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		now, err := m.State(name)
		if err != nil || enough(now) {
			return now, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return now, fmt.Errorf("it is still %s: %w", now, context.Cause(ctx))
		}
	}
}

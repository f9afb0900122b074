// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor_test

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/restart"
)

// A program is started, dies, is started again, and is stopped in the end.
func Example() {
	events := make(chan supervisor.Event, 16)
	s := supervisor.New(supervisor.Config{
		Name:  "sleeper",
		Event: func(e supervisor.Event) { events <- e },
	})
	defer s.Close()
	// next waits for an event of that name.
	next := func(name string) supervisor.Event {
		for e := range events {
			if e.Name == name {
				return e
			}
		}
		return supervisor.Event{}
	}

	ctx := context.Background()
	err := s.Start(ctx, &supervisor.Spec{
		Command:      []string{"sleep", "1000"},
		Env:          os.Environ(),
		External:     true, // it does not speak the control protocol
		ReadyTimeout: 10 * time.Second,
		Restart:      restart.Policy{Delay: 10 * time.Millisecond, MaxDelay: time.Second, Reset: time.Minute},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	first := s.Status().Pid
	_ = syscall.Kill(first, syscall.SIGKILL)
	exited := next("broker_child_exited")
	next("broker_child_ready")
	fmt.Println("it was", exited.Data["reason"], "with", exited.Data["signal"])
	fmt.Println("another process serves:", s.Status().Pid != first)

	if err := s.Stop(ctx, control.Immediate); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Status().State)
	// Output:
	// it was killed with SIGKILL
	// another process serves: true
	// stopped
}

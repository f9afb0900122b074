// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/answers"
	"github.com/caddy-broker/caddy-broker/supervisor/restart"
)

// Spec is what a supervisor shall run, and how. It is not changed once given.
type Spec struct {
	// Command is the program and its arguments.
	Command []string
	// Env is the complete environment of the child.
	Env []string
	// User drops the child to this user and its groups; empty keeps this process's.
	User string

	// Config is handed to a child that speaks our control protocol.
	Config []byte
	// External marks a program that does not: readiness comes by notification in
	// systemd's form or by accepted connections, sockets by LISTEN_FDS.
	External bool
	// Listen are the sockets of an external program, "network/address".
	Listen []string

	// Standby is how many spares are kept, loaded and gated. Not for external programs.
	Standby int
	Restart restart.Policy

	// Prove is what a replacement is told to prove before it serves instead of what does;
	// nil is nothing. ProveTimeout bounds that; 0 does not.
	Prove        json.RawMessage
	ProveTimeout time.Duration

	// Probation is how long a replacement by this spec may turn out not to serve well, so
	// that what served before does again; 0 is no such time. A second apart its process is
	// told to send Probe meanwhile; nil is nothing.
	Probation time.Duration
	Probe     json.RawMessage
	// Errors is by how much its answers may fail more often than before, meanwhile.
	Errors answers.Limit
	// Origin is for the one who has made the spec.
	Origin any `json:"-"`

	// ReadyTimeout bounds the time from spawn to readiness.
	ReadyTimeout time.Duration
	// Watchdog is how long a ready child may be silent; 0 disables.
	Watchdog time.Duration
	// DrainTimeout bounds the requests in progress of a replaced child; 0 is for ever.
	DrainTimeout time.Duration
	// MaxGenerations bounds the processes that serve users at the same time, the active one
	// and those that were replaced within the last ten seconds; 0 is 3. A replacement waits
	// until there is room.
	MaxGenerations int
	// MaxDrains bounds the processes that were replaced and still finish requests or
	// streams; 0 is 64. At that many the oldest ends its streams, and as long as it has
	// requests in progress replacements fail.
	MaxDrains int
	// StopFirst marks what cannot run beside another process of the child, as one
	// that locks a file does: all others are gone before it starts. It has no spares.
	StopFirst bool
	// MaxMemory is what the process that serves may have of its own, in bytes: one that has
	// more for three seconds is replaced, no more often than MaxMemoryInterval. 0 is no
	// limit. A first process that has so much when it is ready is an error.
	MaxMemory         int64
	MaxMemoryInterval time.Duration
	// Told is for [Config.Hello] and those who call [Supervisor.Tell]: what this
	// configuration has its processes told.
	Told json.RawMessage
	// StopTimeout turns an immediate stop into force; 0 never does by itself.
	StopTimeout time.Duration
}

// Processes is how many processes of the child can exist at once, but for those that
// finish requests longer than others wait for them.
func (s *Spec) Processes() int {
	if s.StopFirst {
		return 1
	}
	spares := s.Standby
	if s.Probation > 0 {
		spares = max(spares, 1)
	}
	return cmp.Or(s.MaxGenerations, DefaultMaxGenerations) + spares
}

// shown is the command as a log may have it: arguments of other programs may be secrets.
func (s *Spec) shown() string {
	if !s.External || len(s.Command) < 2 {
		return strings.Join(s.Command, " ")
	}
	return fmt.Sprintf("%s, %d arguments", s.Command[0], len(s.Command)-1)
}

// Equal reports whether a child of one spec serves as well for the other, so that
// nothing needs replacing. Whether another MaxMemory is enough shows a new process only.
func (s *Spec) Equal(o *Spec) bool {
	return slices.Equal(s.Command, o.Command) && slices.Equal(s.Env, o.Env) &&
		s.User == o.User && bytes.Equal(s.Config, o.Config) && s.External == o.External &&
		slices.Equal(s.Listen, o.Listen) && s.MaxMemory == o.MaxMemory
}

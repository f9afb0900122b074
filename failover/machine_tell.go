// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import "log/slog"

// One log line and one event for each change, none for each request.

// tellLost says that a member was lost.
func (x *machine) tellLost(m *Member, why string, clients int64) {
	over := x.anyOther(m)
	code := "FAILOVER"
	if !over && x.limit() == 0 {
		code = "DISCONNECT"
	}
	x.log(slog.LevelWarn, "backend lost", "upstream", m.Name, "reason", why, "error", m.err.String(),
		"failed_over", over, "clients", clients)
	x.emit("failover_interrupted", map[string]any{
		"upstream": m.Name, "reason": why, "error": m.err.String(),
		"code": code, "failed_over": over, "clients": clients,
	})
}

// tellResumed says that a lost member serves again.
func (x *machine) tellResumed(m *Member) {
	x.log(slog.LevelInfo, "backend serves again", "upstream", m.Name)
	x.emit("failover_resumed", map[string]any{
		"upstream": m.Name, "code": "FAILOVER", "failed_over": true, "clients": m.inProgress.Load(),
	})
}

// tellHome says that clients move back to a priority member.
func (x *machine) tellHome(m *Member) {
	if !x.anyOther(m) {
		return // they were nowhere else
	}
	clients := x.requests.away()
	x.log(slog.LevelInfo, "clients move back", "upstream", m.Name, "clients", clients)
	x.emit("failover_failback", map[string]any{"upstream": m.Name, "manual": false, "clients": clients})
}

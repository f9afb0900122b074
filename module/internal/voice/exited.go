// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package voice

import (
	"cmp"
	"fmt"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

// planned reports whether an exit was asked for.
func (f facts) planned() bool {
	r := f.text("reason")
	return r == "stop" || r == "replace" || r == "recycled"
}

func sayExited(f facts) (zapcore.Level, string) {
	var b strings.Builder
	b.WriteString(f.child() + " " + howItEnded(f))
	if up, ok := f.time("uptime_seconds"); ok && f.text("reason") != "spawn" {
		b.WriteString(" after " + up)
	}
	cut, doubt, unknown := f.count("requests"), f.count("in_doubt"), f.text("requests_unknown") != ""
	switch {
	case unknown && f.planned(): // it had time to say what it cut
	case unknown:
		b.WriteString(": how many requests were cut is not known")
	case cut > 0:
		fmt.Fprintf(&b, ": %s cut, %d of them in doubt", plural(cut, "request"), doubt)
	case f.text("role") == "active":
		b.WriteString(": no request was in progress")
	}
	level := zap.WarnLevel
	switch {
	case f.planned():
		if level = zap.InfoLevel; cut > 0 {
			level = zap.WarnLevel
		}
		return level, b.String()
	case cut > 0 || unknown:
		level = zap.ErrorLevel
	}
	if pid := f.count("standby_pid"); pid != 0 {
		fmt.Fprintf(&b, "; standby %d serves at once", pid)
	} else if f.count("active_pid") != 0 {
		b.WriteString("; what serves is not touched")
	} else if next, ok := f.time("next_start_seconds"); ok {
		level = zap.ErrorLevel
		fmt.Fprintf(&b, "; next start in %s", next)
		if n := f.count("deaths"); n > 1 {
			fmt.Fprintf(&b, ", after %d deaths in a row", n)
		}
		held, _ := f["held"].(bool)
		b.WriteString("; " + untilServed(held, control.PassesSockets))
	} else {
		level = zap.ErrorLevel
		b.WriteString("; nothing serves until it is started")
	}
	fmt.Fprintf(&b, "; `caddy broker last-exit %s` has what it left", f.text("child"))
	return level, b.String()
}

// untilServed says what becomes of connections while nothing serves. Sockets that a
// parent lends are there without a child; others are not.
func untilServed(held, lent bool) string {
	switch {
	case !lent:
		return "until it is ready connections are refused"
	case held:
		return "until then plain HTTP is answered with 503, and other connections wait"
	default:
		return "until it is ready connections wait"
	}
}

// servedAgain says what has become of them when something serves again.
func servedAgain(lent bool) string {
	if !lent {
		return "connections were refused until now"
	}
	return "the connections that waited are served now"
}

// howItEnded says the reason of an exit, and the cause as far as it is known.
func howItEnded(f facts) string {
	cause := cmp.Or(f.text("fault"), f.text("error"))
	if f.text("reason") == "hang" { // its dump is there because we asked for it
		cause = cmp.Or(f.text("error"), "no heartbeat")
	}
	how := map[string]string{
		"crash": "crashed", "hang": "hung and was ended", "oom": "was ended by the system, which had no memory left", "killed": "was killed",
		"spawn": "could not be started", "start_failure": "ended before it was ready", "stop": "was stopped", "replace": "was replaced and has ended",
		"recycled": "had too much memory, was replaced and has ended",
	}[f.text("reason")]
	if how == "" {
		how = "ended (" + f.text("reason") + ")"
	}
	if f.planned() {
		return how
	}
	if cause == "" {
		if cause = f.text("signal"); cause == "" {
			cause = fmt.Sprintf("exit code %d", f.count("code"))
		}
	}
	return fmt.Sprintf("%s (%s)", how, cause)
}

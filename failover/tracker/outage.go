// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package tracker

import "time"

// Outage is the account of a time in which no member served: what it did to the requests
// that waited. The zero value is none.
type Outage struct {
	Since   time.Time
	Waited  int           // requests that have waited and waited no more
	Refused int           // of them: those that got an error
	Left    int           // of them: those whose clients left
	Longest time.Duration // that one of them has waited
	Away    time.Duration // how long it was, once it has ended
}

// Begin notes that no member serves.
func (o *Outage) Begin(now time.Time) {
	if !o.Active() {
		*o = Outage{Since: now}
	}
}

// Active reports whether an outage is not over.
func (o *Outage) Active() bool { return !o.Since.IsZero() }

// Note counts a request that waits no more, because it was refused, or its client left.
func (o *Outage) Note(waited time.Duration, refused, left bool) {
	if !o.Active() {
		return
	}
	o.Waited++
	o.Longest = max(o.Longest, waited)
	switch {
	case left:
		o.Left++
	case refused:
		o.Refused++
	}
}

// End ends it, and returns what it was. Back is when the member came back that serves; if
// that is not within the outage, its end is now.
func (o *Outage) End(now, back time.Time) Outage {
	was := *o
	if was.Away = now.Sub(was.Since); back.After(was.Since) {
		was.Away = back.Sub(was.Since)
	}
	*o = Outage{}
	return was
}

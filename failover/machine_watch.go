// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"fmt"
	"time"
)

const (
	// watchPings is at how many points of maxInactivityDuration a member is
	// pinged: at one third, two thirds and the end.
	watchPings = 3
	// pingEvery is the shortest time between two such pings of one member. With a
	// short maxInactivityDuration one ping then stands for two.
	pingEvery = time.Second
	// watchOthers is how many other members are pinged with it.
	watchOthers = 2
)

// watch follows a member with requests in progress, to tell a hung one from a
// slow one. Hung is who gave no byte and answered no ping for the whole time,
// while another one answered.
type watch struct {
	reads, writes uint64
	quiet         time.Time // since when nothing has come from it; zero when nobody waits
	points        int       // of the time that have passed
	owed          bool      // a ping is due
	asked         int       // pings sent
}

// reset begins the time anew.
func (w *watch) reset(m *Member, now time.Time) {
	*w = watch{reads: m.reads.Load(), writes: m.writes.Load(), quiet: now}
}

// lastAnswer is how long the last ping may take to be answered before the
// verdict.
func lastAnswer(d time.Duration) time.Duration { return min(time.Second, d*2/3) }

// observe looks at one member's counters.
func (x *machine) observe(m *Member) {
	w, d := &m.watch, m.limits.MaxInactivityDuration
	waiting := m.inProgress.Load() - int64(m.dialing())
	if d <= 0 || waiting <= 0 {
		*w = watch{}
		return
	}
	// An upload that the backend takes is progress, but a request that is only
	// written says nothing: the kernel takes it for a backend that is stopped.
	uploads := m.writes.Load() != w.writes && m.uploading.Load() >= waiting
	if w.quiet.IsZero() || m.reads.Load() != w.reads || uploads {
		w.reset(m, x.now)
		return
	}
	w.writes = m.writes.Load()
	age, verdict := x.now.Sub(w.quiet), d+lastAnswer(d)
	if points := min(int(age*watchPings/d), watchPings); points > w.points {
		w.points, w.owed = points, true
	}
	left := verdict - age
	if left <= 0 {
		if w.asked > 0 && x.anotherAnswers(m, w.quiet) {
			x.hang(m, age)
			return
		}
		// The last one is not taken down for being slow. Ask on.
		left = max(d/watchPings, pingEvery)
		w.owed = w.owed || x.now.Sub(m.pinged) >= left
	}
	recent := x.now.Sub(m.pinged) < pingEvery
	if !w.owed || recent && m.state != stateDown {
		return
	}
	w.owed = false
	w.asked++
	if !recent { // or the probes of one that is down stand for it
		x.ping(m, pingWatch, left)
	}
	x.pingOthers(m, left)
}

// pingOthers pings the next members: the verdict needs one that answers.
func (x *machine) pingOthers(m *Member, timeout time.Duration) {
	v := x.view
	at, asked := max(v.at(m), 0), 0
	for i := 1; i < len(v.members) && asked < watchOthers; i++ {
		// Every time begin a little further, in case the first ones do not answer.
		o := v.members[(at+i+(m.watch.asked-1)*watchOthers)%len(v.members)]
		if o == m || !o.serves() {
			continue
		}
		asked++
		if x.now.Sub(o.pinged) >= pingEvery {
			x.ping(o, pingWatch, timeout)
		}
	}
}

// anotherAnswers tells whether another eligible member answered a ping since.
func (x *machine) anotherAnswers(m *Member, since time.Time) bool {
	for _, o := range x.members {
		if o != m && o.serves() && !o.pong.Before(since) {
			return true
		}
	}
	return false
}

// hang gives the verdict. A member that is down already may still hold requests
// that were sent before.
func (x *machine) hang(m *Member, quiet time.Duration) {
	x.fail(m, "hung", told(fmt.Sprintf("no byte and no answered ping for %v", quiet.Round(time.Millisecond))))
	x.do(actRelease{m})
	m.watch.reset(m, x.now)
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"fmt"
	"time"
)

// traffic is what the counters of the member say now.
func (m *Member) traffic() traffic {
	return traffic{
		reads: m.reads.Load(), writes: m.writes.Load(),
		waiting: m.inProgress.Load() - int64(m.dialing()), uploading: m.uploading.Load(),
	}
}

// observe takes a look at one member.
func (x *machine) observe(m *Member) {
	d := m.limits.MaxInactivityDuration
	var t traffic
	if d > 0 {
		t = m.traffic()
	}
	another := func(since time.Time) bool { return x.anotherAnswers(m, since) }
	switch j, took := m.watch.look(x.now, d, t, m.pinged, m.state == stateDown, another); j {
	case watchHung:
		x.hang(m, took)
	case watchAsk:
		if x.now.Sub(m.pinged) >= pingEvery { // or the probes of one that is down stand for it
			x.ping(m, pingWatch, took)
		}
		x.pingOthers(m, took)
	}
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

// anotherAnswers reports whether another eligible member answered a ping since.
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
	m.watch.reset(m.traffic(), x.now)
}

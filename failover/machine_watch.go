// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"fmt"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/failover/tracker"
)

// watchOthers is how many other members are pinged with one that is quiet.
const watchOthers = 2

// traffic is what the counters of the member say now.
func (m *Member) traffic() tracker.Traffic {
	return tracker.Traffic{
		Reads: m.flow.Reads.Load(), Writes: m.flow.Writes.Load(),
		Waiting: m.inProgress.Load() - int64(m.dialing()), Uploading: m.flow.Uploading.Load(),
	}
}

// observe takes a look at one member.
func (x *machine) observe(m *Member) {
	d := m.limits.MaxInactivityDuration
	var t tracker.Traffic
	if d > 0 {
		t = m.traffic()
	}
	another := func(since time.Time) bool { return x.anotherAnswers(m, since) }
	switch j, took := m.watch.Look(x.now, d, t, m.pinged, m.state == stateDown, another); j {
	case tracker.WatchHung:
		x.hang(m, took)
	case tracker.WatchAsk:
		if x.now.Sub(m.pinged) >= tracker.PingEvery { // or the probes of one that is down stand for it
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
		o := v.members[(at+i+(m.watch.Asked-1)*watchOthers)%len(v.members)]
		if o == m || !o.serves() {
			continue
		}
		asked++
		if x.now.Sub(o.pinged) >= tracker.PingEvery {
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
	x.fail(m, "hung", report.Told(fmt.Sprintf("no byte and no answered ping for %v", quiet.Round(time.Millisecond))))
	x.do(actRelease{m})
	m.watch.Reset(m.traffic(), x.now)
}

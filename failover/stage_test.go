// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

var (
	errRefused = errors.New("connection refused")
	errReset   = errors.New("connection reset")
)

// stage is a pool with backends that do what a test says, inside a bubble of
// testing/synctest.
type stage struct {
	t     *testing.T
	p     *Pool
	start time.Time

	mu     sync.Mutex
	down   map[string]bool // refuses
	hangs  map[string]bool // accepts and never answers
	mute   map[string]bool // with hangs: does not even accept
	status map[string]int
	// loses counts the requests that a backend ends without an answer.
	loses map[string]int
	// closesOn are the clients whose requests a backend ends without an answer.
	closesOn map[string]map[uint32]bool
	deadly   *Request // every backend ends it without an answer
	// crashes are those that end the next request without an answer, and refuse from then on.
	crashes map[string]bool
	slow    time.Duration // how long a refusal of a ping takes
	pings   []mark
	// came are the consequences of what a scenario does, as they come.
	came   []consequence
	events []report.Event
	warm   []string
	freed  []string
}

func newStage(t *testing.T) *stage {
	return &stage{
		t: t, start: time.Now(),
		down: map[string]bool{}, hangs: map[string]bool{}, mute: map[string]bool{},
		status: map[string]int{}, loses: map[string]int{}, closesOn: map[string]map[uint32]bool{}, crashes: map[string]bool{},
	}
}

func (b *stage) emit(e report.Event) {
	b.set(func() {
		b.events = append(b.events, e)
		b.noted(kindEvent, eventText(e))
	})
}

// mark is something that happened to a member, in time since the start.
type mark struct {
	at   time.Duration
	name string
}

func (b *stage) Ping(ctx context.Context, m *Member) report.PingResult {
	b.mu.Lock()
	b.pings = append(b.pings, mark{time.Since(b.start), m.URI.Host})
	b.noted(kindPing, "ping "+m.URI.Host)
	down, hangs, status := b.down[m.URI.Host], b.hangs[m.URI.Host], b.status[m.URI.Host]
	slow, mute := b.slow, b.mute[m.URI.Host]
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, m.Limits().ConnectionTimeout)
	defer cancel()
	switch {
	case down:
		if slow > 0 {
			<-time.After(slow)
		}
		return report.PingResult{Err: errRefused, Refused: true}
	case hangs:
		<-ctx.Done()
		return report.PingResult{Err: ctx.Err(), Unanswered: !mute}
	case status == 0:
		status = 200
	}
	return report.PingResult{Status: status}
}

func (b *stage) Release(m *Member) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.freed = append(b.freed, m.URI.Host)
	b.noted(kindRelease, "release "+m.URI.Host)
}

func (b *stage) Warm(members []*Member) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.warm = nil
	for _, m := range members {
		b.warm = append(b.warm, m.URI.Host)
	}
	b.noted(kindWarm, strings.TrimSpace("warm "+strings.Join(b.warm, " ")))
}

func (b *stage) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// passes are the times of the pings of one member, since the start.
func (b *stage) passes(name string) (list []time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.pings {
		if p.name == name {
			list = append(list, p.at)
		}
	}
	return list
}

// told is how many events of that name there were.
func (b *stage) told(name string) (n int) {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Name == name {
			n++
		}
	}
	return n
}

// code is the code of the last event of that name.
func (b *stage) code(name string) (code any) {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Name == name {
			code = e.Data["code"]
		}
	}
	return code
}

// downAll makes the named backends refuse; up ends that.
func (b *stage) downAll(names ...string) {
	b.set(func() {
		for _, name := range names {
			b.down[name] = true
		}
	})
}

func (b *stage) up(name string) { b.set(func() { b.down[name] = false }) }

// state is what status says of one member.
func (b *stage) state(host string) string {
	for _, u := range b.p.Status().Upstreams {
		if u.URI == "http://"+host+":80" {
			return u.State
		}
	}
	return "unknown"
}

// inBubble runs f with a started pool over the addresses a, b, c, … of n
// members; change edits the options.
func inBubble(t *testing.T, n int, change func(*Config), f func(b *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newStage(t)
		cfg := Config{Name: "test", Options: address.DefaultOptions(), Carrier: b, URIs: uris(n)}
		cfg.Options.ReconnectJitter = 0
		cfg.Options.Randomize = false
		cfg.Emit = b.emit
		if change != nil {
			change(&cfg)
		}
		p, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		b.p = p
		defer p.Close()
		f(b)
	})
}

func uris(n int) (list []address.URI) {
	for i := range n {
		list = append(list, address.URI{Scheme: "http", Host: string(rune('a' + i)), Port: "80"})
	}
	return list
}

// send sends one request through the pool like a carrier would, against the
// backends as they are, and returns the member that answered.
func (b *stage) send(r *Request) (*Member, error) {
	for {
		m, err := b.ask(b.t.Context(), r)
		if err != nil {
			return nil, err
		}
		b.mu.Lock()
		if r.at.gate != 0 {
			b.noted(kindChoice, "grant "+m.URI.Host)
		} else {
			b.noted(kindChoice, "choose "+m.URI.Host)
		}
		down, mute, status := b.down[m.URI.Host], b.mute[m.URI.Host], b.status[m.URI.Host]
		lose := b.loses[m.URI.Host] > 0
		if lose && !down {
			b.loses[m.URI.Host]--
		}
		if b.crashes[m.URI.Host] && !down {
			lose, b.crashes[m.URI.Host], b.down[m.URI.Host] = true, false, true
		}
		lose = lose || b.closesOn[m.URI.Host][r.Client] || b.deadly == r
		b.mu.Unlock()
		if down {
			r.at.End(report.DialFailed, errRefused)
			continue
		}
		if mute {
			select {
			case <-r.at.Abandoned().Done():
				r.at.End(report.DialAborted, nil)
			case <-time.After(m.Limits().ConnectionTimeout):
				r.at.End(report.DialFailed, context.DeadlineExceeded)
			}
			continue
		}
		r.at.Connected()
		r.at.Written()
		if lose {
			r.at.End(report.Lost, errReset)
			if !r.Safe && b.deadly == r {
				return nil, errReset // it is not sent again
			}
			continue
		}
		m.Touch()
		r.at.Status = status
		r.at.End(report.Answered, nil)
		r.at.Done()
		return m, nil
	}
}

func (b *stage) expect(want string) {
	b.t.Helper()
	m, err := b.send(&Request{Safe: true})
	if err != nil {
		b.t.Fatalf("got error %v, want %s", err, want)
	}
	if m.URI.Host != want {
		b.t.Fatalf("got %s, want %s", m.URI.Host, want)
	}
}

// reason sends a request that is expected to get no member, and returns why and
// how long that took.
func (b *stage) reason(r *Request) (report.Reason, time.Duration) {
	b.t.Helper()
	start := time.Now()
	m, err := b.send(r)
	var u *report.UnavailableError
	if !errors.As(err, &u) {
		b.t.Fatalf("got %v and error %v, want an UnavailableError", m, err)
	}
	if u.RetryAfter < time.Second || u.RetryAfter%time.Second != 0 {
		b.t.Errorf("Retry-After is %v", u.RetryAfter)
	}
	return u.Reason, time.Since(start)
}

// waiting starts a request of its own goroutine, and returns where its member
// will come out; nil for an error.
func (b *stage) waiting(ctx context.Context, r *Request) <-chan error {
	done := make(chan error, 1)
	go func() {
		m, err := b.ask(ctx, r)
		if m != nil {
			r.at.Connected()
			r.at.End(report.Answered, nil)
			r.at.Done()
		}
		done <- err
	}()
	synctest.Wait()
	return done
}

// ask is Next, for tests that care about the member alone.
func (b *stage) ask(ctx context.Context, r *Request) (*Member, error) {
	a, err := b.p.Next(ctx, r)
	if err != nil {
		return nil, err
	}
	return a.Member(), nil
}

// do changes or looks at the machine, as an input of its own would.
func (p *Pool) do(f func(x *machine) error) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x := p.machine
	x.now, x.out = time.Now(), output{}
	err = f(x)
	x.settle()
	for again := p.show(x.out); again != nil; {
		again = p.show(x.step(time.Now(), again))
	}
	select {
	case p.kick <- struct{}{}:
	default:
	}
	return err
}

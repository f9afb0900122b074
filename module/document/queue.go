// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

// Request asks for another document.
type Request struct {
	// Change is made to the document that serves when its turn comes.
	Change *Change
	// Whole takes its place altogether, if there is no Change.
	Whole *Document
	// By is who, or what, asks.
	By string
	// Force loads the document even if nothing changes.
	Force bool
}

// Effects carry out what a queue decides, one after the other. The queue calls them on
// a goroutine of its own.
type Effects interface {
	// Current is the document that serves. It is nil if none does, which only a whole
	// one can end.
	Current() *Document
	// AwaitRoom returns when a change would begin at once, or when it is not worth to
	// wait for that any longer: more changes gather in the meantime.
	AwaitRoom()
	// Load makes next serve in the place of base, and returns when it does, or why it
	// does not; then base goes on. If another document than base serves by now, the
	// error is ErrOvertaken.
	Load(base, next *Document, force bool) error
	// Unchanged is called instead where next is what serves already. An error is why
	// those that asked for it must hear that this is of no use.
	Unchanged() error
}

// ErrUndone is an error of a load that has served and was taken back: its parts are not to
// be tried one after the other, as those of one that never served.
var ErrUndone = errors.New("the configuration was rolled back")

// ErrOvertaken says that a document was computed from one that does not serve any more.
var ErrOvertaken = errors.New("the configuration was changed by another load in the meantime")

// errNone is why a part of nothing cannot be changed.
var errNone = errors.New("there is no configuration that is supervised")

// maxOvertaken bounds how often requests are computed anew because other loads were
// faster: each of these has made progress, so that it never comes to this.
const maxOvertaken = 100

// What may wait for its turn. Requests go on waiting when their senders have left, so
// that it is not bounded by how many of these there are.
const (
	maxWaiting = 1024
	// maxWaitingBytes bounds the sum of what they bring. It has room for two of the
	// longest that Caddy's endpoint takes.
	maxWaitingBytes = 256 << 20
)

// ErrFull says that a request was refused since too much waits already. It has changed
// nothing, and later there is room.
var ErrFull = errors.New("too many changes of the configuration wait for their turn")

// Queue is the one way in which a document changes. Requests that wait are loaded
// together: what a load costs, a new process among it, is paid once for all of them. A
// load that fails is tried in parts, so that each request gets its own answer.
type Queue struct {
	effects Effects

	mu      lockorder.Mutex[Queue]
	waiting []*ticket // by mu
	bytes   int       // by mu; what those bring
	busy    bool      // by mu; the goroutine runs
}

// ticket is a request that waits for its answer.
type ticket struct {
	Request
	answer chan error // takes one without being read
}

// size is what the request brings, in bytes.
func (r *Request) size() int {
	if r.Change != nil {
		return len(r.Change.Body)
	}
	return len(r.Whole.JSON())
}

// NewQueue makes a queue. It has a goroutine only while there are requests.
func NewQueue(effects Effects) *Queue { return &Queue{effects: effects} }

// Do makes a change and returns when it serves, or the reason why it does not; that is
// ErrFull where too many wait. A request whose sender leaves is carried out all the same.
func (q *Queue) Do(ctx context.Context, r Request) error {
	t := &ticket{r, make(chan error, 1)}
	if err := q.put(t); err != nil {
		return err
	}
	select {
	case err := <-t.answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// put lets a request wait, if there is room: one alone always finds some.
func (q *Queue) put(t *ticket) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.waiting); n == maxWaiting || n > 0 && q.bytes+t.size() > maxWaitingBytes {
		return &Error{Status: http.StatusServiceUnavailable, Err: fmt.Errorf(
			"%w: %d with %d bytes, of at most %d with %d bytes; nothing was changed, try again later", ErrFull, n, q.bytes, maxWaiting, maxWaitingBytes)}
	}
	q.waiting = append(q.waiting, t)
	q.bytes += t.size()
	if !q.busy {
		q.busy = true
		go q.run()
	}
	return nil
}

// Waiting counts the requests that no load has taken yet.
func (q *Queue) Waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

func (q *Queue) run() {
	for q.more() {
		q.effects.AwaitRoom()
		q.commit(q.take())
	}
}

// more reports whether requests wait. If not, the queue's goroutine ends.
func (q *Queue) more() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy = len(q.waiting) > 0
	return q.busy
}

// take returns the requests whose turn it is: a whole document alone, or all changes
// before the next one of these.
func (q *Queue) take() []*ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := slices.IndexFunc(q.waiting, func(t *ticket) bool { return t.Change == nil })
	switch n {
	case -1:
		n = len(q.waiting)
	case 0:
		n = 1
	}
	batch := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	for _, t := range batch {
		q.bytes -= t.size()
	}
	return batch
}

// commit answers all requests of a batch.
func (q *Queue) commit(batch []*ticket) {
	for overtaken := 0; len(batch) > 0; {
		p := newPlan(q.effects.Current(), batch)
		err := q.load(p)
		switch {
		case errors.Is(err, ErrOvertaken) && overtaken < maxOvertaken:
			overtaken++
			continue
		case err == nil, errors.Is(err, ErrUndone):
			p.answer(batch, err)
			return
		case len(p.made) == 1: // it is the one that fails; what came after it was computed with it
			last := p.made[0] + 1
			p.answer(batch[:last], err)
			batch = batch[last:]
		default:
			half := p.made[len(p.made)/2]
			q.commit(batch[:half])
			batch = batch[half:]
		}
	}
}

func (q *Queue) load(p *plan) error {
	if len(p.made) == 0 {
		return nil
	}
	if err := p.next.seal(); err != nil {
		return err
	}
	if p.next.same(p.base) && !p.force {
		return q.effects.Unchanged()
	}
	return q.effects.Load(p.base, p.next, p.force)
}

// plan is what a batch of requests makes of a document. It is computed without any effect.
type plan struct {
	base, next *Document
	force      bool
	refused    []error // by request; nil for those that are made
	made       []int   // the requests that are made in next
}

func newPlan(base *Document, batch []*ticket) *plan {
	p := &plan{base: base, next: base, refused: make([]error, len(batch))}
	for i, t := range batch {
		next, err := t.from(p.next)
		if err != nil {
			p.refused[i] = err
			continue
		}
		p.next, p.force, p.made = next, p.force || t.Force, append(p.made, i)
	}
	return p
}

// from is what the request makes of a document.
func (r *Request) from(d *Document) (*Document, error) {
	switch {
	case r.Change == nil:
		whole := *r.Whole
		whole.By = r.By
		return &whole, nil
	case d == nil:
		return nil, errNone
	}
	next, err := d.apply(r.Change)
	if err == nil {
		next.By = r.By
	}
	return next, err
}

// answer tells all of a batch how it ended; err is that of the load.
func (p *plan) answer(batch []*ticket, err error) {
	for i, t := range batch {
		if p.refused[i] != nil {
			t.answer <- p.refused[i]
			continue
		}
		t.answer <- err
	}
}

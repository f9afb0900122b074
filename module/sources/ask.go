// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/caddy-broker/caddy-broker/failover"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
)

// userAgent is what backends and lists are asked as.
const userAgent = "caddy-broker"

const (
	// askTimeout bounds asking a backend, except for a stream once it began.
	askTimeout = 5 * time.Second
	// askAgain is when a backend is asked again that answered otherwise, or with
	// a list that is no stream.
	askAgain = time.Hour
	// maxAnswerHead bounds what is read before the body of an answer.
	maxAnswerHead = 1 << 20
	// maxAsking is how many backends are asked at a time.
	maxAsking = 16
	// streamIdle is how long a stream may be silent: it has a comment every 15 s.
	streamIdle = time.Minute
	// streamRetry and streamRetryMax bound the wait before a stream that ended is
	// asked for again. Where there was no answer at all it grows up to askAgain.
	streamRetry    = time.Second
	streamRetryMax = 30 * time.Second
)

// asking is how one backend was asked. It belongs to the owner; the result is
// that of the question until it is over.
type asking struct {
	epoch  uint32
	cancel context.CancelFunc
	began  *atomic.Bool // the answer began
	done   *atomic.Bool // the question is over
	result *askResult
	next   time.Time
	retry  time.Duration
	noted  bool // the result is in next and retry
}

// askResult is what became of asking.
type askResult struct {
	ours     bool // it was a list or a stream of ours
	streamed bool
	failed   bool // there was no answer, or one that it is not ready
	etag     string
}

// alive reports whether what the backend said last still stands.
func (a *asking) alive() bool { return !a.done.Load() || a.result.ours }

// askBackends asks each backend that answers what addresses there are: once, and
// again after it was lost, and keeps streams open.
func (s *Follower) askBackends(ctx context.Context, f Backends, now time.Time) {
	if !f.Askable() || !f.Options().UpdateURIsSupported && !f.Options().ReconnectSupported {
		return
	}
	answering := s.pool.Answering()
	busy := 0
	for m, a := range s.asked {
		epoch, ok := answering[m]
		switch {
		case !ok || epoch != a.epoch:
			a.cancel()
			delete(s.asked, m)
		case a.done.Load():
			a.note(now)
		case !a.began.Load():
			busy++
		}
	}
	for m, epoch := range answering {
		if busy >= maxAsking {
			return
		}
		a := s.asked[m]
		if a == nil {
			a = &asking{epoch: epoch, result: new(askResult), retry: streamRetry}
			s.asked[m] = a
		} else if !a.done.Load() || now.Before(a.next) {
			continue
		}
		busy++
		s.startAsking(ctx, f, m, a)
	}
}

func (s *Follower) startAsking(ctx context.Context, f Backends, m *failover.Member, a *asking) {
	ctx, cancel := context.WithCancel(ctx)
	began, done, result := new(atomic.Bool), new(atomic.Bool), &askResult{etag: a.result.etag}
	a.cancel, a.began, a.done, a.result, a.noted = cancel, began, done, result, false
	s.work.Go(func() {
		defer s.Kick()
		defer done.Store(true)
		defer cancel()
		s.ask(ctx, f, m, began, result)
	})
}

// note decides when the backend is asked again.
func (a *asking) note(now time.Time) {
	if a.noted {
		return
	}
	a.noted = true
	longest := streamRetryMax
	switch {
	case a.result.failed:
		longest = askAgain
	case !a.result.streamed:
		a.next, a.retry = now.Add(askAgain), streamRetry
		return
	}
	a.next = now.Add(a.retry)
	a.retry = min(2*a.retry, longest)
}

// ask asks m once, and follows the stream if there is one.
func (s *Follower) ask(ctx context.Context, f Backends, m *failover.Member, began *atomic.Bool, result *askResult) {
	askCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(askTimeout, func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()
	line, err := f.Open(askCtx, m, parlance.PathURIs)
	if err != nil {
		result.failed = true // whether it is there is for pings to say
		return
	}
	line.Conn = newPacedConn(askCtx, line.Conn)
	nc := line.Conn
	defer nc.Close()
	defer context.AfterFunc(askCtx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })()
	line.Request.Header.Set("Accept", parlance.TypeEvents+", "+parlance.TypeURIs)
	if result.etag != "" {
		line.Request.Header.Set("If-None-Match", result.etag)
	}
	res, err := line.ask(askCtx)
	if err != nil {
		result.failed = true
		return
	}
	defer func() {
		_ = nc.Close() // or the body reads what is left of an endless answer
		_ = res.Body.Close()
	}()
	began.Store(true)
	w := word{source: m.Name, from: m}
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case res.StatusCode == http.StatusNotModified && result.etag != "":
		result.ours, w.kind = true, "same"
	case res.StatusCode == http.StatusBadGateway, res.StatusCode == http.StatusServiceUnavailable, res.StatusCode == http.StatusGatewayTimeout:
		result.failed = true
		return
	case res.StatusCode != http.StatusOK || kind != parlance.TypeURIs && kind != parlance.TypeEvents:
		return // it has nothing of ours there
	case kind == parlance.TypeEvents:
		if !timer.Stop() {
			return
		}
		result.ours, result.streamed = true, true
		err := follow(ctx, nc, res.Body, func(event string, data []byte) {
			s.tell(ctx, word{source: m.Name, from: m, kind: event, text: data})
		})
		if !errors.Is(err, errStreamBroken) {
			return // it is asked for again
		}
		result.streamed = false
		w.kind, w.err = "bad", err
	default:
		w.kind = "uris"
		if w.text, w.err = readBounded(res.Body); w.err != nil {
			w.kind = "bad"
		}
		result.ours, result.etag = w.err == nil, res.Header.Get("Etag")
	}
	s.tell(ctx, w)
}

// ask sends the request and returns the answer. The body ends with the connection.
func (l *Line) ask(ctx context.Context) (*http.Response, error) {
	nc, r := l.Conn, l.Request
	if l.HTTP2 {
		cc, err := (&http2.Transport{MaxHeaderListSize: maxAnswerHead}).NewClientConn(nc) //nolint:staticcheck // one connection by hand, without a pool
		if err != nil {
			return nil, err
		}
		return cc.RoundTrip(r.WithContext(ctx))
	}
	r.Close = true
	if err := r.Write(nc); err != nil {
		return nil, err
	}
	// What is read in vain, before a final header, is bounded; the body has
	// bounds of its own.
	header := &io.LimitedReader{R: nc, N: maxAnswerHead}
	br := bufio.NewReader(header)
	for {
		res, err := http.ReadResponse(br, r)
		if err != nil {
			return nil, err
		}
		if res.StatusCode >= 200 {
			header.N = math.MaxInt64
			return res, nil
		}
	}
}

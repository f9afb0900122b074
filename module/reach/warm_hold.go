// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
)

// warmConn is a warm connection that is ready to be taken.
type warmConn struct {
	net.Conn
	// idle gets whether the connection was still quiet when it was taken.
	idle chan bool
}

// errWarmClose says that a backend does not keep connections.
var errWarmClose = errors.New("backend closes every connection after its answer")

// warmKey is a key in the context of a dial for a warm connection: it waits for its
// turn, while pings do not.
type warmKey struct{}

// hold makes a connection and offers it until it is taken (warmReady), does not
// work (warmRefused), or has died ("").
func (w *warmer) hold(ctx context.Context) (state string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b, t := w.backend, w.way
	p := t.pingFor(b)
	dialed, stop := context.WithTimeout(context.WithValue(ctx, warmKey{}, true), b.Member.Limits().ConnectionTimeout)
	nc, err := t.open(dialed, b, p)
	stop()
	if err != nil {
		return warmNone
	}
	if t.speaks(nc) == protoHTTP2 {
		_ = nc.Close()
		return w.holdShared(ctx, p)
	}
	woken := make(chan struct{})
	wake := context.AfterFunc(ctx, func() {
		defer close(woken)
		_ = nc.SetReadDeadline(time.Unix(1, 0))
	})
	// Whoever takes the connection has it alone: the end of ctx, which may come
	// with the same failover, must not end his reads.
	letGo := sync.OnceFunc(func() {
		if !wake() {
			<-woken
		}
	})
	defer letGo()
	for {
		if err := pingKept(ctx, nc, p); err != nil {
			_ = nc.Close()
			if errors.Is(err, errWarmClose) {
				return warmRefused
			}
			return warmNone
		}
		b.Member.SetBackup(warmReady)
		switch taken, alive := w.offer(nc, letGo); {
		case taken:
			return warmReady
		case !alive || ctx.Err() != nil:
			_ = nc.Close()
			return warmNone
		}
	}
}

// offer lets the connection be taken for a while. It watches it meanwhile: a
// byte, or its end, means that it is of no use. letGo is called before it is
// handed over.
func (w *warmer) offer(nc net.Conn, letGo func()) (taken, alive bool) {
	wc := &warmConn{Conn: nc, idle: make(chan bool, 1)}
	_ = nc.SetReadDeadline(time.Now().Add(warmCheck))
	w.backend.put(wc)
	var one [1]byte
	n, err := nc.Read(one[:])
	alive = n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
	if w.backend.withdraw(wc) {
		_ = nc.SetReadDeadline(time.Time{})
		return false, alive
	}
	letGo()
	wc.idle <- alive
	return true, alive
}

// put offers a warm connection.
func (b *Backend) put(wc *warmConn) {
	b.mu.Lock()
	b.ready = wc
	b.mu.Unlock()
}

// withdraw takes the offer back, and returns false if it was taken.
func (b *Backend) withdraw(wc *warmConn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ready != wc {
		return false
	}
	b.ready = nil
	return true
}

// takeWarm takes the warm connection, nil when there is none that lives.
func (b *Backend) takeWarm() net.Conn {
	b.mu.Lock()
	wc := b.ready
	b.ready = nil
	b.mu.Unlock()
	if wc == nil {
		return nil
	}
	_ = wc.SetReadDeadline(time.Unix(1, 0))
	if !<-wc.idle {
		_ = wc.Close()
		return nil
	}
	_ = wc.SetReadDeadline(time.Time{})
	if c := connOf(wc.Conn); c != nil {
		c.warm = true
	}
	return wc.Conn
}

// pingKept sends a ping on a connection that is kept afterwards.
func pingKept(ctx context.Context, nc net.Conn, p *pingSpec) error {
	stop := context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_ = nc.SetDeadline(time.Now().Add(p.timeout))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := p.request.Write(nc); err != nil {
		return err
	}
	br := bufio.NewReaderSize(nc, 4096)
	res, err := http.ReadResponse(br, p.request)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, io.LimitReader(res.Body, maxPingAnswer))
	switch {
	case err != nil:
		return err
	case res.Close || n == maxPingAnswer || br.Buffered() > 0:
		return errWarmClose
	}
	return nc.SetDeadline(time.Time{})
}

// holdShared keeps an HTTP/2 connection in the transport's own pool, where it is
// shared: it needs no handing over.
func (w *warmer) holdShared(ctx context.Context, p *pingSpec) string {
	for {
		pinged, stop := context.WithTimeout(ctx, p.timeout)
		err := w.pingShared(pinged, p)
		stop()
		if err != nil {
			return warmNone
		}
		w.backend.Member.SetBackup(warmReady)
		if wait(ctx, warmCheck); ctx.Err() != nil {
			return warmNone
		}
	}
}

func (w *warmer) pingShared(ctx context.Context, p *pingSpec) error {
	ctx = context.WithValue(context.WithValue(ctx, warmKey{}, true), pingKey{}, w.backend)
	ctx = context.WithValue(ctx, assumed.DialInfoKey, p.dial)
	res, err := w.way.transport.RoundTrip(p.request.WithContext(ctx))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, maxPingAnswer))
	return err
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// errUnprocessed is the server's word that it did nothing with a stream.
var errUnprocessed = errors.New("the server did not process the stream")

// ourWindow is what we let a server send before we say that it was read.
const ourWindow = 1 << 30

// h2Conn is one connection and the streams on it.
type h2Conn struct {
	conn net.Conn
	fr   *http2.Framer // reads by the reader, writes by mu
	done chan struct{} // closed when the reader has ended

	mu      sync.Mutex // guards everything below
	out     *bufio.Writer
	enc     *hpack.Encoder
	block   bytes.Buffer // of enc
	next    uint32
	last    uint32 // the server processes no stream above it
	room    int64  // bytes of bodies that the server takes now
	roomy   *sync.Cond
	streams map[uint32]*h2Stream
	err     error // of the connection; nil while it is alive
}

type h2Stream struct {
	res   *harness.Result
	body  []byte
	ended chan error // one element
}

func dialH2(ctx context.Context, addr string, cfg *tls.Config) (*h2Conn, error) {
	cfg = cfg.Clone()
	cfg.NextProtos = []string{http2.NextProtoTLS}
	dialer := tls.Dialer{Config: cfg}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if p := conn.(*tls.Conn).ConnectionState().NegotiatedProtocol; p != http2.NextProtoTLS {
		_ = conn.Close()
		return nil, fmt.Errorf("dialling %s: the server speaks %q instead of HTTP/2", addr, p)
	}
	c := &h2Conn{
		conn: conn, out: bufio.NewWriter(conn), done: make(chan struct{}),
		next: 1, last: math.MaxUint32, room: 65535, streams: map[uint32]*h2Stream{},
	}
	c.roomy = sync.NewCond(&c.mu)
	c.enc = hpack.NewEncoder(&c.block)
	c.fr = http2.NewFramer(c.out, bufio.NewReader(conn))
	c.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, err = c.out.WriteString(http2.ClientPreface)
	err = errors.Join(err,
		c.fr.WriteSettings(
			http2.Setting{ID: http2.SettingEnablePush, Val: 0},
			http2.Setting{ID: http2.SettingInitialWindowSize, Val: ourWindow}),
		c.fr.WriteWindowUpdate(0, ourWindow), c.out.Flush())
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	go c.read()
	return c, nil
}

func (c *h2Conn) usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil && c.last == math.MaxUint32
}

func (c *h2Conn) close() {
	_ = c.conn.Close()
	<-c.done
}

// roundTrip sends one request and puts the answer into res.
func (c *h2Conn) roundTrip(ctx context.Context, req harness.Request, res *harness.Result) error {
	s := &h2Stream{res: res, ended: make(chan error, 1)}
	id, err := c.send(req, s)
	if err != nil {
		return err
	}
	select {
	case err := <-s.ended:
		res.Body = string(s.body)
		return err
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.streams[id] != s {
			return <-s.ended // it has just ended, and nobody writes into res any more
		}
		delete(c.streams, id)
		return errors.Join(ctx.Err(), c.fr.WriteRSTStream(id, http2.ErrCodeCancel), c.out.Flush())
	}
}

// send writes one request, whose body must fit into one frame.
func (c *h2Conn) send(req harness.Request, s *h2Stream) (uint32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && c.room < int64(len(req.Body)) {
		c.roomy.Wait()
	}
	if c.err != nil {
		return 0, c.err
	}
	if c.last != math.MaxUint32 {
		return 0, errUnprocessed // nothing was written
	}
	id := c.next
	c.next += 2
	c.room -= int64(len(req.Body))
	c.streams[id] = s
	end := len(req.Body) == 0
	err := c.fr.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: c.encode(req, s.res.ID), EndHeaders: true, EndStream: end,
	})
	if err == nil && !end {
		err = c.fr.WriteData(id, true, req.Body)
	}
	if err == nil {
		_ = c.conn.SetWriteDeadline(time.Now().Add(time.Minute))
		err = c.out.Flush()
	}
	if err != nil {
		delete(c.streams, id)
	}
	return id, err
}

func (c *h2Conn) encode(req harness.Request, id string) []byte {
	path := req.Path
	if path == "" {
		path = "/"
	}
	c.block.Reset()
	field := func(name, value string) {
		_ = c.enc.WriteField(hpack.HeaderField{Name: name, Value: value}) // into memory
	}
	field(":method", req.Method)
	field(":scheme", "https")
	field(":authority", "localhost")
	field(":path", path)
	if id != "" {
		field("x-request-id", id)
	}
	if len(req.Body) > 0 {
		field("content-length", strconv.Itoa(len(req.Body)))
	}
	return c.block.Bytes()
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
)

// errStreamBroken says that a stream is none of ours, whatever its type says.
var errStreamBroken = errors.New("the event stream is broken")

// maxStreamLine bounds a line of a stream, and all data of one event.
const maxStreamLine = address.MaxListSize

// follow reads a stream of events until it ends, and calls do for those that
// are ours, in their order. One that sends more than a balancer has to say is
// read no faster.
func follow(ctx context.Context, nc net.Conn, body io.Reader, do func(event string, data []byte)) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 4096), maxStreamLine)
	event := ""
	var data []byte
	events, each := pace{pause: streamPause, burst: streamBurst}, pace{pause: linePause, burst: lineBurst}
	idle, idleSize := pace{pause: idleLinePause, burst: idleLines}, pace{pause: idleBytePause, burst: idleBytes}
	for {
		_ = nc.SetReadDeadline(time.Now().Add(streamIdle))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !lines.Scan() {
			if errors.Is(lines.Err(), bufio.ErrTooLong) {
				return fmt.Errorf("%w: a line is longer than %d bytes", errStreamBroken, maxStreamLine)
			}
			return lines.Err()
		}
		each.wait(ctx, 1)
		now := time.Now()
		if idle.next(now, 1) > 0 || idleSize.next(now, len(lines.Bytes())) > 0 {
			return fmt.Errorf("%w: nothing of ours is on it", errStreamBroken)
		}
		name, value, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			event = string(value)
		case "data":
			if len(data)+len(value) > maxStreamLine {
				return fmt.Errorf("%w: an event is longer than %d bytes", errStreamBroken, maxStreamLine)
			}
			data = append(append(data, value...), '\n')
		case "":
			if len(lines.Bytes()) > 0 {
				continue // a comment
			}
			switch event {
			case "uris", "rebalance", "reconnect":
				events.wait(ctx, 1)
				idle.paid, idleSize.paid = time.Time{}, time.Time{}
				do(event, bytes.Clone(data))
			}
			event, data = "", data[:0]
		}
	}
}

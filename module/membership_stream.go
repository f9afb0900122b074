// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/caddy-broker/caddy-broker/failover"
)

// errStreamBroken says that a stream is none of ours, whatever its type says.
var errStreamBroken = errors.New("the event stream is broken")

// maxStreamLine bounds a line of a stream, and all data of one event.
const maxStreamLine = failover.MaxListSize

// follow reads a stream of events until it ends, and calls do for those that
// are ours. Events come in their order, and none too soon after another.
func follow(ctx context.Context, nc net.Conn, body io.Reader, do func(event string, data []byte)) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 4096), maxStreamLine)
	event := ""
	var data []byte
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
		name, value, _ := bytes.Cut(bytes.TrimSuffix(lines.Bytes(), []byte("\r")), []byte(":"))
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
				do(event, bytes.Clone(data))
				wait(ctx, streamPause)
			}
			event, data = "", data[:0]
		}
	}
}

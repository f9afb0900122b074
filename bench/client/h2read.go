// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"net/http"
	"strconv"

	"golang.org/x/net/http2"
)

// read takes in frames until the connection ends, and then ends all streams.
func (c *h2Conn) read() {
	defer close(c.done)
	for {
		frame, err := c.fr.ReadFrame()
		if err == nil {
			err = c.frame(frame)
		}
		if err != nil {
			c.mu.Lock()
			c.err = err
			for id := range c.streams {
				c.end(id, err)
			}
			c.roomy.Broadcast()
			c.mu.Unlock()
			_ = c.conn.Close()
			return
		}
	}
}

// frame takes in one frame; an error ends the connection.
func (c *h2Conn) frame(frame http2.Frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f := frame.(type) {
	case *http2.MetaHeadersFrame:
		return c.headers(f)
	case *http2.DataFrame:
		if s := c.streams[f.StreamID]; s != nil {
			s.body = append(s.body, f.Data()...)
		}
		if f.StreamEnded() {
			c.end(f.StreamID, nil)
		}
		if n := f.Length; n > 0 {
			if err := c.fr.WriteWindowUpdate(0, n); err != nil {
				return err
			}
			// It leaves with the next request unless there is a lot to say.
			if c.out.Buffered() > c.out.Size()/2 {
				return c.out.Flush()
			}
		}
	case *http2.SettingsFrame:
		if !f.IsAck() {
			if err := c.fr.WriteSettingsAck(); err != nil {
				return err
			}
			return c.out.Flush()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			if err := c.fr.WritePing(true, f.Data); err != nil {
				return err
			}
			return c.out.Flush()
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.room += int64(f.Increment)
			c.roomy.Broadcast()
		}
	case *http2.RSTStreamFrame:
		if f.ErrCode == http2.ErrCodeRefusedStream {
			c.end(f.StreamID, errUnprocessed)
		} else {
			c.end(f.StreamID, fmt.Errorf("stream was reset: %s", f.ErrCode))
		}
	case *http2.GoAwayFrame:
		c.last = min(c.last, f.LastStreamID)
		for id := range c.streams {
			if id > c.last {
				c.end(id, errUnprocessed)
			}
		}
	}
	return nil
}

func (c *h2Conn) headers(f *http2.MetaHeadersFrame) error {
	s := c.streams[f.StreamID]
	if s == nil {
		return nil // given up
	}
	status, err := strconv.Atoi(f.PseudoValue("status"))
	if err != nil {
		if s.res.Status == 0 {
			return fmt.Errorf("reading response header: %w", err)
		}
		status = s.res.Status // trailers
	}
	if status < 200 {
		return nil
	}
	s.res.Status = status
	if s.res.Header == nil {
		s.res.Header = http.Header{}
	}
	for _, field := range f.RegularFields() {
		s.res.Header.Add(field.Name, field.Value)
	}
	if f.StreamEnded() {
		c.end(f.StreamID, nil)
	}
	return nil
}

// end gives a stream its fate, once.
func (c *h2Conn) end(id uint32, err error) {
	if s := c.streams[id]; s != nil {
		delete(c.streams, id)
		s.ended <- err
	}
}

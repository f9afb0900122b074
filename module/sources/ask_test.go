// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// endless writes text until the other end closes, and returns how many bytes that took.
func endless(c net.Conn, begin, text string) int {
	n, err := c.Write([]byte(begin))
	for err == nil {
		var wrote int
		wrote, err = c.Write([]byte(text))
		n += wrote
	}
	return n
}

// TestEndlessHeader: an answer whose header does not end is given up when it is longer
// than any, be it one or many before the final one.
func TestEndlessHeader(t *testing.T) {
	field := "X: " + strings.Repeat("x", 1000) + "\r\n"
	for name, said := range map[string][2]string{
		"one":     {"HTTP/1.1 200 OK\r\n", field},
		"interim": {"", "HTTP/1.1 103 Early Hints\r\n" + field + "\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := net.Pipe()
			sent := make(chan int, 1)
			go func() {
				_, _ = b.Read(make([]byte, 1000))
				sent <- endless(b, said[0], said[1])
			}()
			r, err := http.NewRequest(http.MethodGet, "http://backend/", nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := (&Line{Conn: a, Request: r}).ask(t.Context())
			if err == nil {
				_ = res.Body.Close()
				t.Errorf("it is taken for an answer with %d", res.StatusCode)
			}
			_ = a.Close()
			// What reads it has a buffer.
			if n := <-sent; n > maxAnswerHead+64<<10 {
				t.Errorf("%d bytes were read, want %d at most", n, maxAnswerHead)
			}
		})
	}
}

// TestLongHeaderOverHTTP2 is refused for its length.
func TestLongHeaderOverHTTP2(t *testing.T) {
	for _, c := range []struct {
		fields int // of 1,000 bytes
		taken  bool
	}{{900, true}, {1100, false}} {
		a, b := net.Pipe()
		over := make(chan struct{})
		go func() {
			defer close(over)
			defer b.Close()
			answerWithFields(b, c.fields)
		}()
		r, err := http.NewRequest(http.MethodGet, "http://backend/", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&Line{Conn: a, HTTP2: true, Request: r}).ask(t.Context())
		if err == nil {
			_ = res.Body.Close()
		}
		if (err == nil) != c.taken {
			t.Errorf("%d fields: %v", c.fields, err)
		}
		_ = a.Close()
		<-over
	}
}

// answerWithFields answers the first request of an HTTP/2 connection.
func answerWithFields(c net.Conn, n int) {
	if _, err := c.Read(make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	writing := make(chan func(), 100) // what is read in the meantime does not wait for what is written
	go func() {
		for write := range writing {
			write()
		}
	}()
	defer close(writing)
	fr := http2.NewFramer(c, c)
	writing <- func() { _ = fr.WriteSettings() }
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return
		}
		if f.Header().Type != http2.FrameHeaders {
			continue
		}
		id := f.Header().StreamID
		writing <- func() {
			var block strings.Builder
			enc := hpack.NewEncoder(&block)
			_ = enc.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
			for range n {
				_ = enc.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("x", 1000), Sensitive: true})
			}
			rest := block.String()
			first := true
			for len(rest) > 0 {
				part := rest[:min(16<<10, len(rest))]
				rest = rest[len(part):]
				if first {
					_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte(part), EndStream: true, EndHeaders: len(rest) == 0})
				} else {
					_ = fr.WriteContinuation(id, len(rest) == 0, []byte(part))
				}
				first = false
			}
		}
	}
}

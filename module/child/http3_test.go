// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-broker/caddy-broker/supervisor/account"
)

// inProgress serves HTTP/3 through the guard of rt and has one POST in progress. Its
// handler goes on when the test says so, and does not care about its connection.
func inProgress(t *testing.T, rt *childRuntime) (goOn, returned chan struct{}, answer chan string) {
	t.Helper()
	runtime.Store(rt)
	t.Cleanup(func() { runtime.Store(nil) })
	begun := make(chan struct{})
	goOn, returned, answer = make(chan struct{}), make(chan struct{}), make(chan string, 1)
	site := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		defer close(returned)
		close(begun)
		<-goOn
		_, err := io.WriteString(w, strings.Repeat("x", 100_000))
		return err
	})
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveHTTP3(t, rt, conn, site)
	rt.readPackets()
	transport := newHTTP3Transport(t)
	go func() { answer <- ask3(transport, http.MethodPost, conn.LocalAddr(), "/order") }()
	select {
	case <-begun:
	case got := <-answer:
		t.Fatalf("the request has not arrived: %s", got)
	}
	return goOn, returned, answer
}

// serveHTTP3 serves site through the guard of rt, from conn, until the test ends.
func serveHTTP3(t *testing.T, rt *childRuntime, conn net.PacketConn, site caddyhttp.HandlerFunc) {
	t.Helper()
	certificate := httptest.NewUnstartedServer(nil)
	certificate.StartTLS()
	defer certificate.Close()
	pc := rt.newPacketConn(conn, "udp/test")
	srv := &http3.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{}))
			_ = Guard{Open: true}.ServeHTTP(w, r, site)
		}),
	}
	// As Caddy does it: the server does not own the listener.
	quicTransport := &quic.Transport{Conn: pc}
	ln, err := quicTransport.ListenEarly(http3.ConfigureTLSConfig(&tls.Config{Certificates: certificate.TLS.Certificates}), nil)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.ServeListener(ln)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		_ = ln.Close()
		_ = pc.Close()
		_ = quicTransport.Close()
		<-served
	})
}

// newHTTP3Transport is a client that has one socket for all of its connections.
func newHTTP3Transport(t *testing.T) *http3.Transport {
	t.Helper()
	transport := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(func() { _ = transport.Close() })
	return transport
}

// ask3 sends a request and says what came of it.
func ask3(transport *http3.Transport, method string, address net.Addr, path string) string {
	req, err := http.NewRequest(method, "https://"+address.String()+path, strings.NewReader("one"))
	if err != nil {
		return err.Error()
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "cut: " + err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.StatusCode, " ", len(body), " ", err)
}

// A stop lets requests over HTTP/3 finish, with their answers.
func TestStopFinishesHTTP3(t *testing.T) {
	rt := newChildRuntime(nil)
	goOn, _, answer := inProgress(t, rt)
	rt.leave()
	finished := make(chan struct{})
	go func() {
		rt.finishHTTP3()
		close(finished)
	}()
	select {
	case <-finished:
		t.Error("the connections were ended before the request was")
	case got := <-answer:
		close(goOn)
		t.Fatalf("the request ended with %s", got)
	case <-time.After(5 * idlePoll):
	}
	close(goOn)
	if got, want := <-answer, "200 100000 <nil>"; got != want {
		t.Errorf("answered %s, want %s", got, want)
	}
	<-finished
}

// Where datagrams cannot be handed on, a replacement cuts the connections without waiting
// for a handler, and the
// request is listed, once.
func TestDrainCutsHTTP3(t *testing.T) {
	rt := newChildRuntime(nil)
	rt.account = account.New()
	goOn, returned, answer := inProgress(t, rt)
	rt.leave()
	cut, _ := rt.inDoubt("replaced", func(q *inflight) bool { return q.http3 })
	if len(cut) != 1 || cut[0].Method != http.MethodPost || cut[0].Path != "/order" || cut[0].Reason != "replaced" {
		t.Errorf("in doubt are %+v", cut)
	}
	rt.closeHTTP3()
	if got := <-answer; !strings.HasPrefix(got, "cut: ") || strings.Contains(got, "invalid") {
		t.Errorf("the request ended with %s", got)
	}
	if again, _ := rt.inDoubt("later", everyRequest); len(again) > 0 {
		t.Errorf("in doubt again are %+v", again)
	}
	close(goOn)
	<-returned
}

// What comes over HTTP/3 after that is not executed: nobody would list it.
func TestLeavingGuardRefusesHTTP3(t *testing.T) {
	rt := newChildRuntime(nil)
	rt.leave()
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/3.0", 3, 0
	w, err := guarded(t, rt, r, func(http.ResponseWriter, *http.Request) error {
		t.Error("it is executed")
		return nil
	})
	if e, ok := err.(caddyhttp.HandlerError); !ok || e.StatusCode != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
		t.Errorf("answered %v, %v", err, w.Header())
	}
}

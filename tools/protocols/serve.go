// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"
)

// ways are the Caddys that are compared; the first one is stock.
var ways = []string{"stock", "policy", "supervised+policy"}

// limit is for whatever must not take long: a start, a stop, one case.
const limit = time.Minute

// programs are what is run, by name.
type programs map[string]string

// build builds both Caddys, and finds the programs of the suites.
func build(work string) (programs, error) {
	p := programs{"stock": filepath.Join(work, "stock"), "ours": filepath.Join(work, "caddy")}
	for name, pkg := range map[string]string{"stock": "github.com/caddyserver/caddy/v2/cmd/caddy", "ours": "./cmd/caddy"} {
		// Ours ends at a lock that is taken out of order.
		if _, err := goTool(*root, "build", "-buildvcs=false", "-tags=lockorder", "-o", p[name], pkg); err != nil {
			return nil, err
		}
	}
	for name, pkg := range map[string]string{
		"interop client": "google.golang.org/grpc/interop/client",
		"interop server": "google.golang.org/grpc/interop/server",
		"h2spec":         "github.com/summerwind/h2spec/cmd/h2spec",
	} {
		out, err := goTool(filepath.Join(*root, "tools"), "tool", "-n", pkg)
		if err != nil {
			return nil, err
		}
		p[name] = strings.TrimSpace(out)
	}
	return p, nil
}

func goTool(dir string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	var out, problem strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("running go %s: %w\n%s", strings.Join(args, " "), err, &problem)
	}
	return out.String(), nil
}

// backends are a server of gRPC's tests and one that answers with a short text.
type backends struct {
	GRPC string
	HTTP string

	grpc  *process
	plain *httptest.Server
}

func startBackends(p programs) (*backends, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("hello\n"))
	}))
	grpc, err := start(exec.Command(p["interop server"], "-port", port), port)
	if err != nil {
		plain.Close()
		return nil, err
	}
	return &backends{GRPC: port, HTTP: plain.Listener.Addr().String(), grpc: grpc, plain: plain}, nil
}

func (b *backends) stop() {
	_ = b.grpc.stop()
	b.plain.Close()
}

// site is what all ways serve.
var site = template.Must(template.New("Caddyfile").Parse(`{
	admin unix/{{.Dir}}/admin.sock
	persist_config off
	skip_install_trust
	auto_https disable_redirects
	grace_period 5s
	servers 127.0.0.1:{{.Plain}} {
		protocols h1 h2c
	}
}
(site) {
	bind 127.0.0.1
	@grpc header Content-Type application/grpc*
	reverse_proxy @grpc h2c://127.0.0.1:{{.Backends.GRPC}} {
		{{.Policy}}
	}
	reverse_proxy {{.Backends.HTTP}} {
		{{.Policy}}
	}
}
http://127.0.0.1:{{.Plain}} {
	import site
}
https://127.0.0.1:{{.TLS}} {
	tls {{.Dir}}/cert.pem {{.Dir}}/key.pem
	import site
}
`))

// server is a Caddy that serves the site.
type server struct {
	*process
	Dir, Plain, TLS, Policy string
	Backends                *backends
}

// serve starts the Caddy of a way.
func serve(work, way string, p programs, b *backends) (s *server, err error) {
	s = &server{Dir: filepath.Join(work, "serving-"+way), Backends: b}
	program, adapter := p["ours"], "caddyfile"
	switch way {
	case "stock":
		program = p["stock"]
	case "policy":
		s.Policy = "lb_policy failover"
	case "supervised+policy":
		s.Policy, adapter = "lb_policy failover", "broker"
	}
	var plainErr, tlsErr error
	s.Plain, plainErr = freePort()
	s.TLS, tlsErr = freePort()
	if err := errors.Join(plainErr, tlsErr, os.MkdirAll(s.Dir, 0o700), certificate(s.Dir)); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := site.Execute(&text, s); err != nil {
		return nil, err
	}
	caddyfile := filepath.Join(s.Dir, "Caddyfile")
	if err := os.WriteFile(caddyfile, text.Bytes(), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "run", "--config", caddyfile, "--adapter", adapter)
	cmd.Env = append(os.Environ(), "HOME="+s.Dir, "XDG_CONFIG_HOME="+s.Dir, "XDG_DATA_HOME="+s.Dir)
	if s.process, err = start(cmd, s.Plain, s.TLS); err != nil {
		return nil, fmt.Errorf("serving %s: %w", way, err)
	}
	return s, nil
}

// process is a program that was started here.
type process struct {
	cmd  *exec.Cmd
	over chan struct{} // closed when it ended
	log  bytes.Buffer  // may be read then
}

// start starts a program and waits until it listens on its ports.
func start(cmd *exec.Cmd, ports ...string) (*process, error) {
	p := &process{cmd: cmd, over: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait()
		close(p.over)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for _, port := range ports {
		for {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:"+port)
			if err == nil {
				_ = conn.Close()
				break
			}
			select {
			case <-p.over:
				return nil, fmt.Errorf("starting %s: it ended:\n%s", cmd.Path, &p.log)
			case <-ctx.Done():
				_ = p.stop()
				return nil, fmt.Errorf("starting %s: it does not listen on %s:\n%s", cmd.Path, port, &p.log)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return p, nil
}

// stop ends the program, and keeps what it logged if that is wanted.
func (p *process) stop() error {
	ended := false
	select {
	case <-p.over:
		ended = true
	default:
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-p.over:
	case <-time.After(limit):
		_ = p.cmd.Process.Kill()
		<-p.over
		return fmt.Errorf("stopping %s: it did not end", p.cmd.Path)
	}
	if *keep != "" {
		name := filepath.Base(p.cmd.Path) + "-" + strconv.Itoa(p.cmd.Process.Pid) + ".log"
		if err := errors.Join(os.MkdirAll(*keep, 0o750), os.WriteFile(filepath.Join(*keep, name), p.log.Bytes(), 0o600)); err != nil {
			return err
		}
	}
	if ended {
		return fmt.Errorf("stopping %s: it had ended before", p.cmd.Path)
	}
	return nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

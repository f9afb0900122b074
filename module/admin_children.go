// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
)

func adminChildren(w http.ResponseWriter, r *http.Request, parts []string) error {
	if len(parts) == 0 {
		if err := method(r, http.MethodGet); err != nil {
			return err
		}
		return answer(w, http.StatusOK, statuses())
	}
	c := host.child(parts[0])
	if c == nil {
		names := slices.Sorted(maps.Keys(host.list()))
		if len(names) == 0 {
			return failure(http.StatusNotFound, "no child %q: this process supervises none", parts[0])
		}
		return failure(http.StatusNotFound, "no child %q: there are %s", parts[0], strings.Join(names, ", "))
	}
	if len(parts) == 1 {
		if err := method(r, http.MethodGet); err != nil {
			return err
		}
		return answer(w, http.StatusOK, c.sup.Status())
	}
	if parts[1] == "admin" {
		// As it stands in the request: a slash at the end counts.
		_, path, _ := strings.Cut(r.URL.Path, c.name+"/admin")
		return c.forward(w, r, "/"+strings.TrimPrefix(path, "/"))
	}
	if len(parts) > 2 {
		return failure(http.StatusNotFound, "no resource %q of child %q", strings.Join(parts[1:], "/"), c.name)
	}
	operation, known := childOperations[parts[1]]
	if !known {
		return failure(http.StatusNotFound, "no operation %q of child %q: there are %s", parts[1], c.name,
			strings.Join(slices.Sorted(maps.Keys(childOperations)), ", "))
	}
	if err := method(r, http.MethodPost); err != nil {
		return err
	}
	if err := operation(c, r); err != nil {
		return conflict(err)
	}
	return answer(w, http.StatusOK, c.sup.Status())
}

// childOperations are those of the API. An operation goes on when the one who
// asked for it leaves: its end must not depend on a client.
var childOperations = map[string]func(c *hosted, r *http.Request) error{
	"start": func(c *hosted, _ *http.Request) error { return c.sup.Start(context.Background(), nil) },
	"stop": func(c *hosted, r *http.Request) error {
		mode := control.Mode(r.URL.Query().Get("mode"))
		switch mode {
		case "":
			mode = control.Immediate
		case control.Immediate, control.Force:
		default:
			return failure(http.StatusBadRequest, "stop mode %q: it is immediate or force", mode)
		}
		return c.sup.Stop(context.Background(), mode)
	},
	"restart": func(c *hosted, _ *http.Request) error { return c.replace(context.Background(), nil) },
	"reload":  func(c *hosted, _ *http.Request) error { return c.reload() },
	"promote": func(c *hosted, _ *http.Request) error { return c.sup.Promote(context.Background()) },
}

// conflict gives an error of a supervisor its status.
func conflict(err error) error {
	if _, ok := errors.AsType[apiError](err); ok {
		return err
	}
	for _, known := range []error{supervisor.ErrStopped, supervisor.ErrStopping, supervisor.ErrRunning, supervisor.ErrNoStandby, supervisor.ErrSuperseded, supervisor.ErrClosed} {
		if errors.Is(err, known) {
			return apiError{http.StatusConflict, err}
		}
	}
	return apiError{http.StatusBadGateway, err}
}

// reload reads the file that the configuration came from again and loads it, as
// `caddy reload` does from outside.
func (c *hosted) reload() error {
	a := host.deciding()
	if a == nil || a.Source == nil {
		return failure(http.StatusConflict, "reloading child %q: the configuration did not come from a file; post the new one to /load", c.name)
	}
	config, err := adaptQuietly(a.Source.File, a.Source.Adapter)
	if err != nil {
		return failure(http.StatusBadRequest, "reloading child %q: %w", c.name, err)
	}
	if err := caddy.Load(config, false); err != nil {
		return failure(http.StatusBadRequest, "reloading child %q: %w", c.name, err)
	}
	return nil
}

// adaptQuietly adapts file without a line in the log.
func adaptQuietly(file, name string) ([]byte, error) {
	adapter := caddyconfig.GetAdapter(name)
	if adapter == nil {
		return nil, fmt.Errorf("no config adapter %q in this build", name)
	}
	body, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	config, _, err := adapter.Adapt(body, map[string]any{"filename": file})
	return config, err
}

// forward passes a request to the active process's own admin endpoint, as one for
// path, with which the request's own path ends.
func (c *hosted) forward(w http.ResponseWriter, r *http.Request, path string) error {
	transport, err := c.adminTransport()
	if err != nil {
		return err
	}
	prefix := strings.TrimSuffix(r.URL.Path, path)
	proxy := &httputil.ReverseProxy{
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.Out.URL = &url.URL{Scheme: "http", Host: "127.0.0.1", Path: path, RawQuery: r.URL.RawQuery}
			pr.Out.Host = "127.0.0.1"
			pr.Out.Header.Del("Origin") // the parent's endpoint has checked it
			pr.Out.Header.Del("Sec-Fetch-Mode")
		},
		ModifyResponse: func(res *http.Response) error {
			if to := res.Header.Get("Location"); strings.HasPrefix(to, "/") {
				res.Header.Set("Location", prefix+to)
			}
			return nil
		},
		Transport:     transport,
		FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			_ = answer(w, http.StatusBadGateway, map[string]string{"error": fmt.Sprintf("asking child %q: %v", c.name, err)})
		},
	}
	proxy.ServeHTTP(w, r)
	return nil
}

// askTime is how long the parent waits for a child's answer to a question of its
// own: a child that hangs must not make its parent's status hang.
const askTime = 2 * time.Second

// ask gets something from the active process's own admin endpoint.
func (c *hosted) ask(ctx context.Context, path string) ([]byte, error) {
	transport, err := c.adminTransport()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("asking child %q: %w", c.name, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking child %q: it answered %s", c.name, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// adminTransport reaches the active process's own admin endpoint.
func (c *hosted) adminTransport() (*http.Transport, error) {
	socket := c.activeAdmin()
	if socket == "" {
		return nil, failure(http.StatusServiceUnavailable, "child %q has no process that could answer: it is %s", c.name, c.sup.Status().State)
	}
	return &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}, nil
}

// activeAdmin is the path of the active process's admin socket, "" if there is none.
func (c *hosted) activeAdmin() string {
	for _, p := range c.sup.Status().Processes {
		if p.State == "active" {
			return p.Admin
		}
	}
	return ""
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

const remembering = `{
	admin {$ADMIN}
	skip_install_trust
	auto_https off
	broker {
		restart_delay 0s
		state_dir state
	}
}
http://:{$PORT} {
	reverse_proxy {$B1} {$B2} {$B3} {
		lb_policy failover {
			pool shop
			randomize false
		}
	}
}
`

// decided is what operators decided about the pool, and what is in doubt, as a user
// of the admin API sees it.
type decided struct {
	Drained, Manual, Added string
	Since                  time.Time
	By                     string
	InDoubt                int
}

func seeDecided(t *testing.T, b *harness.Broker) (d decided, err error) {
	t.Helper()
	var pools []struct {
		Upstreams []struct {
			URI     string
			State   string
			Manual  bool
			Pushed  bool
			Drained *struct {
				Since time.Time
				By    string
			}
		}
	}
	var doubts []json.RawMessage
	if err := b.Admin(t.Context(), http.MethodGet, "/broker/pools", &pools); err != nil {
		return d, err
	}
	if err := b.Admin(t.Context(), http.MethodGet, "/broker/in-doubt", &doubts); err != nil {
		return d, err
	}
	for _, u := range pools[0].Upstreams {
		if u.State == "drained" {
			d.Drained = u.URI
			if u.Drained != nil {
				d.Since, d.By = u.Drained.Since, u.Drained.By
			}
		}
		if u.Manual {
			d.Manual = u.URI
		}
		if u.Pushed {
			d.Added = u.URI
		}
	}
	d.InDoubt = len(doubts)
	return d, nil
}

// TestDecisionsOutliveProcesses: what operators decided, and what is in doubt, is the
// same after everything that may happen to the processes.
func TestDecisionsOutliveProcesses(t *testing.T) {
	t.Parallel()
	backends, env := newBackends(t, "four")
	start(t, backends...)
	port := freePort(t)
	b := newBroker(t, remembering, append(env, "PORT="+port)...)
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	pid := awaitActive(t, b, 0)
	command := func(args ...string) {
		t.Helper()
		if out, err := b.Run(t.Context(), append(append([]string{"broker"}, args...), "--address", b.AdminAddr())...); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	// A request that its backend's death leaves in doubt.
	client := &harness.Client{Addr: "127.0.0.1:" + port}
	cut := underWay(t, backends[:1], client, "cut", harness.Request{Method: "POST", Path: "/?delay=30s", Body: []byte("order")})
	if err := backends[0].Stop(); err != nil {
		t.Fatal(err)
	}
	cut.Wait()
	start(t, backends[0])
	added, err := json.Marshal(map[string]any{"uris": []string{"http://" + backends[3].Addr}})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post("http://"+b.AdminAddr()+"/broker/pools/shop/uris", "application/json", strings.NewReader(string(added)))
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	command("drain", "http://"+backends[0].Addr)
	command("failover", "shop", "--to", "http://"+backends[2].Addr)
	want, err := seeDecided(t, b)
	if err != nil {
		t.Fatal(err)
	}
	if want.InDoubt != 1 || want.Drained == "" || want.Manual == "" || want.Added == "" || want.By == "" || want.Since.IsZero() {
		t.Fatalf("decided: %+v", want)
	}

	var table []string
	same := func(event string) {
		t.Helper()
		pid = awaitActive(t, b, 0)
		got := decided{}
		if err := harness.Until(t.Context(), soon, func() (err error) {
			if got, err = seeDecided(t, b); err == nil && got != want {
				err = fmt.Errorf("got %+v, want %+v", got, want)
			}
			return err
		}); err != nil {
			t.Errorf("after %s: %v", event, err)
		}
		if res := get(t, "127.0.0.1:"+port); res.Header.Get(harness.BackendName) != "three" {
			t.Errorf("after %s %s serves", event, res.Header.Get(harness.BackendName))
		}
		row := fmt.Sprintf("| %s | %v | %v | %v | %v |", event, got.Drained == want.Drained && got.By == want.By && got.Since.Equal(want.Since),
			got.Manual == want.Manual, got.Added == want.Added, got.InDoubt == want.InDoubt)
		table = append(table, strings.NewReplacer("true", "kept", "false", "lost").Replace(row))
	}
	restart := func(signal syscall.Signal) {
		t.Helper()
		<-time.After(time.Second) // far more than the state may be behind
		if err := b.Process().Signal(signal); err != nil {
			t.Fatal(err)
		}
		<-b.Process().Exited()
		if err := b.AwaitGone(t.Context(), soon); err != nil {
			t.Fatal(err)
		}
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
	}
	same("nothing")
	if err := b.Write(strings.ReplaceAll(remembering, "reverse_proxy", "header X-New 1\n\treverse_proxy")); err != nil {
		t.Fatal(err)
	}
	command("reload")
	same("reload")
	command("restart")
	same("restart")
	if err := killProcess(t, pid); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, pid)
	same("a crash of the child")
	command("upgrade")
	same("an upgrade")
	restart(syscall.SIGTERM)
	same("SIGTERM to the parent, and a start")
	restart(syscall.SIGKILL)
	same("SIGKILL to the parent, and a start")
	<-time.After(time.Second)
	if err := b.Process().Kill(); err != nil {
		t.Fatal(err)
	}
	if err := b.AwaitGone(t.Context(), soon); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(b.Dir, "state")
	if err := os.CopyFS(filepath.Join(b.Dir, "copy"), os.DirFS(state)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(state); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(b.Dir, "copy"), state); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	same("a copy of the state, as after a reboot")
	t.Log("\n| after | drain, by whom and since when | manual failover | added address | in doubt |\n|---|---|---|---|---|\n" + strings.Join(table, "\n"))

	// What is another's, or damaged, is moved aside, and the service runs.
	<-time.After(time.Second)
	if err := b.Process().Kill(); err != nil {
		t.Fatal(err)
	}
	if err := b.AwaitGone(t.Context(), soon); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(state, "*.json"))
	files = slices.DeleteFunc(files, func(file string) bool { return strings.HasSuffix(file, ".generations.json") })
	if len(files) != 1 {
		t.Fatalf("the state is in %q", files)
	}
	if err := os.Truncate(files[0], 20); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, 0)
	get(t, "127.0.0.1:"+port)
	if aside, _ := filepath.Glob(files[0] + ".*Z"); len(aside) != 1 || strings.Count(b.Process().Output(), "it is moved to") != 1 {
		t.Errorf("aside are %q", aside)
	}
	got, err := seeDecided(t, b)
	if err != nil || got.Drained != "" {
		t.Errorf("after a damaged state: %+v, %v", got, err)
	}
}

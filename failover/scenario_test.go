// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/report"
)

var update = flag.Bool("update", false, "rewrite the consequences in testdata/scenarios")

// TestScenarios plays the files in testdata/scenarios; the README there says
// what their lines mean.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &scenario{t: t}
				defer s.close()
				got := s.tell(file, string(text))
				switch {
				case *update:
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				case got != string(text):
					t.Errorf("%s: the consequences are others; -update writes them:\n%s", file, difference(string(text), got))
				}
			})
		})
	}
}

// tell plays a file, and returns it with the consequences as they were.
func (s *scenario) tell(file, text string) string {
	var told strings.Builder
	for i, full := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if strings.HasPrefix(full, "\t") {
			continue // a consequence
		}
		told.WriteString(full + "\n")
		line, _, _ := strings.Cut(full, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		do, want, expects := strings.Cut(line, "->")
		since := time.Now()
		got, err := s.play(strings.Fields(do))
		if err != nil {
			s.t.Fatalf("%s:%d: %s: %v", file, i+1, line, err)
		}
		if want = strings.TrimSpace(want); expects && got != want {
			s.t.Errorf("%s:%d: %s\n\tgot %s", file, i+1, line, got)
		}
		for _, c := range s.consequences(since) {
			told.WriteString("\t" + c + "\n")
		}
	}
	return told.String()
}

// difference is the first line in which two texts differ.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\n\twant %s\n\tgot  %s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

type scenario struct {
	t *testing.T
	*stage
	told  int // events
	stuck []*Request
	ends  sync.WaitGroup // of those that endless began
}

func (s *scenario) close() {
	if s.stage == nil {
		return
	}
	s.p.Interrupt()
	s.ends.Wait()
	for _, r := range s.stuck {
		r.at.End(report.Neutral, nil)
	}
	s.p.Close()
}

// open makes the pool of a failover address and starts it.
func (s *scenario) open(addr string) error {
	s.close()
	a, err := address.Parse(addr)
	if err != nil {
		return err
	}
	s.stage, s.told, s.stuck = newStage(s.t), 0, nil
	a.Options.ReconnectJitter = 0
	s.p, err = New(Config{Name: "scenario", URIs: a.URIs, Options: a.Options, Carrier: s, Emit: s.emit, Logger: slog.New(logs{s.stage})})
	if err == nil {
		s.p.Start()
		synctest.Wait()
	}
	return err
}

// play carries out one line, and returns what there is to compare.
func (s *scenario) play(words []string) (string, error) {
	defer synctest.Wait()
	verb, args := words[0], append(words[1:], "")
	host := args[0]
	switch verb {
	case "pool":
		if host == "" {
			return s.p.Status().State, nil
		}
		return "", s.open(host)
	case "refuse", "hang", "blackhole", "heal":
		s.set(func() {
			s.down[host] = verb == "refuse"
			s.hangs[host] = verb == "hang" || verb == "blackhole"
			s.mute[host] = verb == "blackhole"
		})
	case "crash":
		s.set(func() { s.crashes[host], s.slow = true, time.Millisecond })
	case "answer", "lose":
		n, err := strconv.Atoi(args[1])
		s.set(func() { map[string]map[string]int{"answer": s.status, "lose": s.loses}[verb][host] = n })
		return "", err
	case "after":
		d, err := time.ParseDuration(host)
		time.Sleep(d)
		return "", err
	case "send":
		return s.request(args)
	case "traffic":
		d, err := time.ParseDuration(host)
		count := s.stage.traffic(d)
		by := slices.Collect(maps.Keys(count))
		slices.SortFunc(by, func(a, b string) int { return cmp.Compare(count[b], count[a]) })
		return strings.Join(by, " "), err
	case "endless":
		n, err := strconv.Atoi(host)
		for range n {
			s.endless(args[1:])
		}
		return "", err
	case "break":
		s.set(func() { s.slow = time.Millisecond }) // all are lost before a ping is refused
		for _, r := range s.stuck {
			if r.at.Member().URI.Host == host {
				r.at.End(report.Lost, errReset)
				s.goOn(r)
			}
		}
		synctest.Wait()
		time.Sleep(time.Millisecond)
		s.set(func() { s.slow = 0 })
	case "stuck":
		r := &Request{Safe: true}
		m, err := s.ask(s.t.Context(), r)
		if err != nil {
			return "", err
		}
		r.at.Connected()
		r.at.Written()
		s.stuck = append(s.stuck, r)
		return m.URI.Host, nil
	case "state":
		for _, u := range s.p.Status().Upstreams {
			if strings.TrimPrefix(u.URI, "http://") == host+":80" {
				return u.State, nil
			}
		}
		return "unknown", nil
	case "passes":
		var at []string
		for _, d := range s.passes(host) {
			at = append(at, d.Round(100*time.Millisecond/10).String())
		}
		s.set(func() { s.pings, s.start = nil, time.Now() })
		return strings.Join(at, " "), nil
	case "events":
		var names []string
		s.set(func() {
			for _, e := range s.events[s.told:] {
				if name := strings.TrimPrefix(e.Name, "failover_"); name != "membership" {
					names = append(names, name)
				}
			}
			s.told = len(s.events)
		})
		return strings.Join(names, " "), nil
	case "warm":
		return strings.Join(s.stage.warm, " "), nil
	default:
		return "", s.operate(verb, host)
	}
	return "", nil
}

func (s *scenario) operate(verb, host string) (err error) {
	u := address.URI{Scheme: "http", Host: host, Port: "80"}
	switch verb {
	case "drain":
		return s.p.Drain(u)
	case "resume":
		return s.p.Resume(u)
	case "failover":
		if host == "" {
			return s.p.Failover(nil)
		}
		return s.p.Failover(&u)
	case "failback":
		return s.p.Failback()
	case "rebalance":
		s.p.Rebalance()
	case "add":
		_, err = s.p.AddURIs([]address.URI{u}, false)
	case "remove":
		_, err = s.p.RemoveURIs([]address.URI{u})
	default:
		err = fmt.Errorf("unknown verb %q", verb)
	}
	return err
}

// request sends one request; with "in TIME" it has to take about that long.
func (s *scenario) request(args []string) (string, error) {
	r, in := requestOf(args), time.Duration(-1)
	if i := slices.Index(args, "in"); i >= 0 {
		in, _ = time.ParseDuration(args[i+1])
	}
	if slices.Contains(args, "deadly") {
		s.set(func() { s.deadly = r })
	}
	start := time.Now()
	m, err := s.send(r)
	if took := time.Since(start); in >= 0 && (took > in || took < in*8/10) {
		return "", fmt.Errorf("it took %v", took)
	}
	var u *report.UnavailableError
	switch {
	case errors.Is(err, errReset):
		return "lost", nil
	case errors.As(err, &u):
		return map[report.Reason]string{
			report.ReasonTimeout: "timeout", report.ReasonExhausted: "exhausted", report.ReasonTooMany: "too many", report.ReasonDrained: "drained",
			report.ReasonNoFailover: "no failover", report.ReasonSpent: "spent", report.ReasonClosed: "closed",
		}[u.Reason], nil
	case err != nil:
		return "", err
	}
	return m.URI.Host, nil
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/answers"
	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/restart"
)

var update = flag.Bool("update", false, "write the scenarios' outcome into testdata instead of comparing it")

// TestScenarios plays every file in testdata. A line that begins with a time is
// something that happens then; the indented lines below it are what the machine
// does about it, and what falls due before the next one. "# …" is a comment, and
// "spec NAME key=value…" describes what to run. Run with -update to write the
// indented lines anew, and read the difference.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := playScenario(t, string(text))
			if got == string(text) {
				return
			}
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s: %s", file, firstDifference(string(text), got))
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		var a, b string
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			from := max(0, i-6)
			return fmt.Sprintf("line %d:\n  want %q\n  got  %q\nafter\n%s", i+1, a, b, strings.Join(g[from:i], "\n"))
		}
	}
	return "no difference"
}

// scenario drives a machine as its owner does, with a clock of its own.
type scenario struct {
	*testing.T
	m       *machine
	start   time.Time
	now     time.Time
	specs   map[string]*Spec
	random  float64
	broken  string       // what the next spawn fails with
	told    string       // the state last shown
	stopped map[int]bool // by a signal
	out     strings.Builder
}

func playScenario(t *testing.T, text string) string {
	epoch := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	s := &scenario{T: t, start: epoch, now: epoch, specs: map[string]*Spec{}, stopped: map[int]bool{}, random: 0.5, told: stateStopped}
	s.m = newMachine("default", func() float64 { return s.random })
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, " "):
			continue // outcome, written anew
		case line == "", strings.HasPrefix(line, "#"):
			s.out.WriteString(line + "\n")
		case strings.HasPrefix(line, "spec "):
			s.out.WriteString(line + "\n")
			s.spec(strings.Fields(line)[1:])
		default:
			s.line(line)
		}
	}
	return s.out.String()
}

// line is "TIME VERB ARGUMENTS".
func (s *scenario) line(line string) {
	fields := strings.Fields(line)
	at, err := time.ParseDuration(fields[0])
	if err != nil || len(fields) < 2 {
		s.Fatalf("line %q: %v", line, err)
	}
	then := s.start.Add(at)
	if fields[1] != "awake" { // after a sleep nothing was done in time
		for next := s.m.next(); !next.IsZero() && next.Before(then); next = s.m.next() {
			if !next.After(s.now) {
				s.Fatalf("line %q: next is %s, not after %s", line, next.Sub(s.start), s.now.Sub(s.start))
			}
			s.now = next
			s.handle(inTick{})
		}
	}
	s.now = then
	s.out.WriteString(line + "\n")
	s.handle(s.input(fields[1], fields[2:]))
}

func (s *scenario) handle(in input) {
	todo := s.m.step(s.now, in)
	for len(todo) > 0 {
		a := todo[0]
		todo = todo[1:]
		if a.kind != actLook || s.stopped[a.id] { // there are many looks, and most find nothing
			fmt.Fprintf(&s.out, "  %-6s %s\n", s.now.Sub(s.start), s.show(a))
		}
		if a.kind == actLook {
			todo = append(s.m.step(s.now, inLooked{a.id, s.stopped[a.id]}), todo...)
		}
		if a.kind != actSpawn {
			continue
		}
		var follow input = inSpawned{id: a.id, pid: 100 + a.id}
		if s.broken != "" {
			follow = inExited{id: a.id, exit: exits.Exit{Code: 127}, said: s.broken}
			s.broken = ""
		}
		todo = append(s.m.step(s.now, follow), todo...)
	}
	if s.m.shown != s.told {
		s.told = s.m.shown
		fmt.Fprintf(&s.out, "  %-6s state %s\n", s.now.Sub(s.start), s.told)
	}
}

func (s *scenario) input(verb string, args []string) input {
	id := func() int { return s.number(args[0]) }
	token := func() int { return s.number(strings.TrimPrefix(args[len(args)-1], "#")) }
	spec := func() *Spec {
		if strings.HasPrefix(args[0], "#") {
			return nil
		}
		if s.specs[args[0]] == nil {
			s.Fatalf("no spec %q", args[0])
		}
		return s.specs[args[0]]
	}
	switch verb {
	case "start":
		return inStart{spec(), token()}
	case "replace":
		return inReplace{spec(), token()}
	case "tune":
		return inTune{s.m.spec, spec()}
	case "room":
		return inRoom{token()}
	case "promote":
		return inPromote{token()}
	case "freeze":
		return inFreeze{token()}
	case "thaw":
		return inThaw{}
	case "resume":
		return inResume{s.handed(args[1 : len(args)-1]), spec(), token()}
	case "stop":
		return inStop{control.Mode(args[0]), token()}
	case "close":
		return inClose{}
	case "ready":
		if len(args) > 1 {
			return inReady{id(), int64(s.number(args[1])) << 20}
		}
		return inReady{id: id()}
	case "memory":
		return inSample{id(), int64(s.number(args[1])) << 20}
	case "beat":
		return inBeat{id()}
	case "broken":
		return inBroken{id(), strings.Join(args[1:], " ")}
	case "hung":
		return inHung{id()}
	case "proved":
		in := inProved{id: id()}
		if len(args) > 2 {
			in.failed = strings.Join(args[2:], " ")
		}
		return in
	case "probed":
		in := inProbed{id: id()}
		if len(args) > 2 {
			in.failed = strings.Join(args[2:], " ")
		}
		return in
	case "answers":
		return inAnswers{id(), answers.Counts{All: uint64(s.number(args[1])), Failed: uint64(s.number(args[2]))}}
	case "stops", "goes-on":
		s.stopped[id()] = verb == "stops"
	case "bound":
		return inBound{id()}
	case "released":
		return inReleased{id()}
	case "exited":
		return s.exited(id(), args[1:])
	case "random":
		s.random = s.float(args[0])
	case "spawns-fail":
		s.broken = strings.Join(args, " ")
	case "wait", "awake":
	default:
		s.Fatalf("no verb %q", verb)
	}
	return inTick{}
}

// handed reads processes that the program before has handed over, each as
// ID.GENERATION.PHASE. They ran the spec "old".
func (s *scenario) handed(processes []string) *Handover {
	h := new(Handover)
	for _, text := range processes {
		part := strings.Split(text, ".")
		p := HandedProcess{
			ID: s.number(part[0]), Generation: s.number(part[1]), Pid: 100 + s.number(part[0]), Phase: part[2],
			Spec: s.specs["old"], Started: s.start, Ready: s.start, Packets: part[2] == "active",
		}
		switch phase(p.Phase) {
		case phaseActive:
			h.Generation = p.Generation
		case phaseDraining:
			p.Cause = exits.Replace
		}
		h.LastGeneration, h.LastID = max(h.LastGeneration, p.Generation), max(h.LastID, p.ID)
		h.Processes = append(h.Processes, p)
	}
	return h
}

// exited reads "CODE", "SIGNAL" or "CODE said TEXT".
func (s *scenario) exited(id int, args []string) input {
	in := inExited{id: id}
	if signals := map[string]int{"SIGKILL": 9, "SIGABRT": 6, "SIGTERM": 15}; signals[args[0]] != 0 {
		in.exit = exits.Exit{Code: 128 + signals[args[0]], Signal: args[0]}
	} else {
		in.exit = exits.Exit{Code: s.number(args[0])}
	}
	if len(args) > 2 {
		in.said = strings.Join(args[2:], " ")
	}
	return in
}

func (s *scenario) number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		s.Fatalf("%q is not a number", text)
	}
	return n
}

func (s *scenario) float(text string) float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		s.Fatalf("%q is not a number", text)
	}
	return f
}

// spec reads "NAME key=value…"; what is not given has its default, except that
// nothing is watched.
func (s *scenario) spec(fields []string) {
	spec := &Spec{
		Command: fields[:1],
		Restart: restart.Policy{Delay: 2 * time.Second, MaxDelay: time.Minute, Reset: 10 * time.Second}, ReadyTimeout: 30 * time.Second,
		DrainTimeout: time.Minute,
	}
	durations := map[string]*time.Duration{
		"restart_delay": &spec.Restart.Delay, "max_restart_delay": &spec.Restart.MaxDelay, "restart_reset": &spec.Restart.Reset,
		"ready_timeout": &spec.ReadyTimeout, "watchdog": &spec.Watchdog, "drain_timeout": &spec.DrainTimeout, "stop_timeout": &spec.StopTimeout,
		"probation":           &spec.Probation,
		"max_memory_interval": &spec.MaxMemoryInterval,
	}
	for _, field := range fields[1:] {
		key, value, _ := strings.Cut(field, "=")
		switch {
		case key == "standby":
			spec.Standby = s.number(value)
		case key == "prove":
			spec.Prove = json.RawMessage(`{}`)
			if err := durationInto(&spec.ProveTimeout, value); err != nil {
				s.Fatal(err)
			}
		case key == "errors":
			spec.Errors = answers.Limit{More: float64(s.number(value)) / 100, Least: 100}
		case key == "probe":
			spec.Probe = json.RawMessage(`{}`)
		case key == "max_memory":
			spec.MaxMemory = int64(s.number(value)) << 20
		case key == "max_generations":
			spec.MaxGenerations = s.number(value)
		case key == "max_drains":
			spec.MaxDrains = s.number(value)
		case key == "external":
			spec.External = true
		case key == "stop_first":
			spec.StopFirst = true
		case durations[key] != nil:
			if err := durationInto(durations[key], value); err != nil {
				s.Fatal(err)
			}
		default:
			s.Fatalf("no setting %q", key)
		}
	}
	s.specs[fields[0]] = spec
}

func durationInto(to *time.Duration, text string) (err error) {
	*to, err = time.ParseDuration(text)
	return err
}

func (s *scenario) show(a action) string {
	switch a.kind {
	case actSpawn:
		p := s.m.find(a.id)
		text := fmt.Sprintf("spawn %d (%s, generation %d)", a.id, a.spec.Command[0], p.gen)
		if a.unbound {
			text += " without sockets"
		}
		return text
	case actSend:
		text := fmt.Sprintf("tell %d to %s", a.id, a.msg.Kind)
		if a.msg.Kind == control.KindDrain {
			text += " within " + a.msg.Timeout.String()
		}
		if a.msg.Mode != "" {
			text += " (" + string(a.msg.Mode) + ")"
		}
		return text
	case actSignal:
		return fmt.Sprintf("signal %d %s", a.id, map[signal]string{sigTerm: "SIGTERM", sigAbort: "SIGABRT", sigKill: "SIGKILL"}[a.signal])
	case actReply:
		if a.err == nil {
			return fmt.Sprintf("reply #%d: done", a.reply)
		}
		return fmt.Sprintf("reply #%d: %v", a.reply, a.err)
	case actLog:
		return fmt.Sprintf("log %s %s", a.code, a.text)
	case actEvent:
		text := "event " + a.event.Name
		for _, key := range slices.Sorted(maps.Keys(a.event.Data)) {
			if v := a.event.Data[key]; key != "child" && v != "" {
				text += fmt.Sprintf(" %s=%v", key, v)
			}
		}
		return text
	case actRolledBack:
		text := fmt.Sprintf("rolled back from %s to %s", a.back.From.Command[0], a.back.To.Command[0])
		if a.back.Exit != nil {
			text += ", which ended: " + a.back.Exit.Reason
		}
		if a.back.Why != "" {
			text += ": " + a.back.Why
		}
		return text
	case actLeave:
		return fmt.Sprintf("%d leaves its sockets", a.id)
	case actSweep:
		return "sweep sockets"
	case actCloseSockets:
		return "close sockets"
	case actHold:
		return fmt.Sprintf("hold sockets until %s", a.at.Sub(s.start))
	case actRelease:
		return "release sockets"
	case actLook:
		return fmt.Sprintf("see that %d is stopped", a.id)
	case actAdopt:
		return fmt.Sprintf("adopt %d", a.id)
	}
	s.Fatal(errors.New("an action that cannot be shown"))
	return ""
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/control"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
	"github.com/caddy-broker/caddy-broker/supervisor/halog"
	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// The log of a crash, with real processes, is the sequence of the model.
func TestHALogOfACrash(t *testing.T) {
	t.Parallel()
	log := halog.Open(filepath.Join(t.TempDir(), "ha.log"), func(err error) { t.Error(err) })
	defer log.Close()
	w := watch(t, func(c *Config) { c.HALog = log })
	w.start(childSpec(t, behaviour{}))
	first := w.Status().Pid
	w.Tell("exit", []byte("7"))
	second := w.other(first)
	text, err := os.ReadFile(log.Path())
	if err != nil {
		t.Fatal(err)
	}
	self, _ := os.Executable()
	var want []string
	life := func(pid int) {
		want = append(want,
			"SHA0158 [HA] command line for child broker: ["+self+"]", "SHA0173 [HA] creating process for child broker",
			fmt.Sprintf("SHA0214 [HA] success creating child process for broker ha worker, pid=%d", pid),
			"SHA0877 waiting notification from child process", "SHA0899 ok, broker child is running", "SHA0817 waiting child process termination")
	}
	want = append(want, "SHA0502 opening log for Broker HTTP HA", fmt.Sprintf("SHA0425 watcher process pid=%d", os.Getpid()))
	life(first)
	want = append(want, "SHA0579 child process terminated", "SHA0584 child broker terminated with code 7", "SHA0558 restarting child broker")
	life(second)
	var got []string
	for line := range strings.Lines(string(text)) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		got = append(got, rest)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the log says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// While the next start is far away the owner answers users; he is told when to
// begin and when to stop.
func TestHold(t *testing.T) {
	t.Parallel()
	began, ended := make(chan time.Time, 1), make(chan struct{}, 1)
	w := watch(t, func(c *Config) {
		c.Hold = func(s *sockets.Holder, next time.Time) func() {
			if len(s.Addresses()) != 1 {
				t.Errorf("held sockets %v", s.Addresses())
			}
			began <- next
			return func() { ended <- struct{}{} }
		}
	})
	w.start(childSpec(t, behaviour{Listen: []string{"tcp/127.0.0.1:0"}}, func(s *Spec) { s.Restart.Delay, s.Restart.MaxDelay = time.Hour, time.Hour }))
	w.Tell("exit", nil)
	var next time.Time
	select {
	case next = <-began:
	case <-time.After(patience):
		t.Fatal("nobody holds")
	}
	st := w.Status()
	if st.State != "backoff" || st.NextStart == nil || !st.NextStart.Equal(next) || time.Until(next) < 50*time.Minute {
		t.Errorf("status %+v, next start %s", st, next)
	}
	if err := w.Replace(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("nobody was told to stop holding")
	}
	if st := w.Status(); st.State != "active" || st.NextStart != nil || st.Stats.Gap == 0 {
		t.Errorf("status %+v", st)
	}
}

func TestTuneKeepsTheProcess(t *testing.T) {
	t.Parallel()
	w := watch(t)
	spec := childSpec(t, behaviour{})
	w.start(spec)
	pid := w.Status().Pid
	tuned := *spec
	tuned.Standby = 1
	w.Tune(spec, &tuned)
	spare := w.standby(pid)
	w.Tune(&tuned, spec)
	ended(t, spare)
	if st := w.Status(); st.Pid != pid || st.State != "active" {
		t.Errorf("status %+v", st)
	}
	// A stopped child is tuned for its next start, and in the order of the calls.
	w.stop(control.Immediate)
	for range 20 {
		w.Tune(&tuned, spec)
		w.Tune(spec, &tuned)
		w.start(nil)
		w.standby(w.Status().Pid)
		w.stop(control.Force)
	}
}

// One who does not wait any longer changes nothing.
func TestImpatience(t *testing.T) {
	t.Parallel()
	w := watch(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	answer := make(chan error)
	go func() { answer <- w.Start(ctx, childSpec(t, behaviour{Never: true})) }()
	w.event("broker_child_started")
	why := errors.New("something better to do")
	cancel(why)
	if err := <-answer; !errors.Is(err, why) {
		t.Errorf("answer %v", err)
	}
	if st := w.Status(); st.State != "starting" {
		t.Errorf("status %+v", st)
	}
}

// Replacements asked for at once are all answered, by one process that serves.
func TestReplacementsAtOnce(t *testing.T) {
	t.Parallel()
	w := watch(t)
	w.start(childSpec(t, behaviour{}))
	answers := make(chan error)
	const askers = 20
	for i := range askers {
		go func() {
			spec := childSpec(t, behaviour{Offset: i})
			if i%3 == 0 {
				spec = nil
			}
			answers <- w.Replace(t.Context(), spec)
		}()
	}
	for range askers {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	until(t, "the end of all others", func() error {
		if st := w.Status(); len(st.Processes) != 1 || st.State != "active" {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
}

// A process that waits for its report to be taken hears whether it was; the one
// that becomes active is told what the owner's user knows at that moment.
func TestDeliveredReports(t *testing.T) {
	var activated []int
	w := watch(t, func(c *Config) {
		c.Activate = func(id int) Pieces {
			activated = append(activated, id) // on the supervisor's goroutine only
			return func(yield func(string, json.RawMessage) bool) {
				_ = yield("nothing", json.RawMessage(`1`)) && yield("before", json.RawMessage(fmt.Sprintf(`"process %d serves"`, id)))
			}
		}
	})
	w.start(childSpec(t, behaviour{}))
	var said string
	if w.report("before", &said); said != "process 1 serves" {
		t.Errorf("the process was told %q", said)
	}
	w.Tell("deliver", []byte(`1`))
	var answers map[string]string
	if w.report("answers", &answers); len(answers) != 1 || answers["refused"] != "not from you" {
		t.Errorf("the process heard %v, want one refusal", answers)
	}
	if err := w.Replace(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if !slices.Equal(activated, []int{1, 2}) {
		t.Errorf("processes %v became active, want 1 and then 2", activated)
	}
}

// A process that lives and cannot be understood any more is replaced at once; its
// status says why, and it is counted. So is one that the owner's user cannot understand.
func TestBrokenControlConnection(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		b          behaviour
		taken      error
	}{
		{"no message", "decoding control message", behaviour{Breaks: true}, nil},
		{"no report", "not a number", behaviour{}, fmt.Errorf("reading figure: %w: not a number", control.ErrUnreadable)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := watch(t, func(cfg *Config) {
				cfg.Report = func(_ int, topic string, _ json.RawMessage) error {
					if topic == "taken" {
						return c.taken
					}
					return nil
				}
			})
			w.start(childSpec(t, c.b))
			pid := w.Status().Pid
			w.Tell("deliver", []byte(`1`))
			w.other(pid)
			st := w.Status()
			if exit := st.LastExit; exit == nil || exit.Reason != exits.Crash || !strings.Contains(exit.Error, c.want) {
				t.Errorf("last exit %+v, want a crash because of %q", exit, c.want)
			}
			if st.Stats.Broken == 0 {
				t.Error("it is not counted")
			}
		})
	}
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package winservice

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"caddy.exe", "Caddyfile"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program, config := filepath.Join(dir, "caddy.exe"), filepath.Join(dir, "Caddyfile")
	for _, c := range []struct{ name, service, program, config, says string }{
		{"absolute", "web", program, config, ""},
		{"to be cleaned", "web", program, filepath.Join(dir, "x") + "/../Caddyfile", ""},
		{"no configuration here", "web", program, "", "--config"},
		{"a folder", "web", program, dir, "is a folder"},
		{"no program", "web", filepath.Join(dir, "none"), config, "none"},
		{"no name", "", program, config, "1 to 256 characters"},
		{"a name with a slash", `a\b`, program, config, "1 to 256 characters"},
		{"a long name", strings.Repeat("é", 257), program, config, "1 to 256 characters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Plan(c.service, c.program, c.config)
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%+v, %v; want an error with %q", got, err, c.says)
				}
				return
			}
			if want := []string{"run", "--config", config, "--adapter", "broker"}; err != nil || got.Program != program || !slices.Equal(got.Args, want) {
				t.Errorf("%+v, %v; want %q with %q", got, err, program, want)
			}
		})
	}
}

// fake is a manager whose service goes through states, one each time it is looked at.
type fake struct {
	states  []State
	refuses error
	did     []string
}

func (f *fake) do(what string) error {
	f.did = append(f.did, what)
	return f.refuses
}

func (f *fake) Create(s Service) error  { return f.do("create " + s.Name) }
func (f *fake) Remove(n string) error   { return f.do("remove " + n) }
func (f *fake) Start(name string) error { return f.do("start " + name) }
func (f *fake) Stop(name string) error  { return f.do("stop " + name) }
func (f *fake) Close() error            { return nil }

func (f *fake) State(string) (State, error) {
	now := f.states[0]
	if len(f.states) > 1 {
		f.states = f.states[1:]
	}
	return now, nil
}

func TestStartAndStop(t *testing.T) {
	t.Parallel()
	denied := errors.New("access is denied")
	for _, c := range []struct {
		name    string
		order   func(context.Context, Manager) error
		states  []State
		refuses error
		did     string
		says    string
	}{
		{"start", start, []State{Moving, Moving, Running}, nil, "start x", ""},
		{"start of what ends", start, []State{Moving, Stopped}, nil, "start x", "caddy validate"},
		{"start that is refused", start, []State{Stopped}, denied, "start x", "starting service x: access is denied"},
		{"start that does not come to an end", start, []State{Moving}, nil, "start x", "still moving"},
		{"stop", stop, []State{Running, Running, Moving, Stopped}, nil, "stop x", ""},
		{"stop of what is stopped", stop, []State{Stopped}, nil, "", ""},
		{"stop that is refused", stop, []State{Running}, denied, "stop x", "stopping service x: access is denied"},
		{"stop that does not come to an end", stop, []State{Running}, nil, "stop x", "still running"},
		{"uninstall", uninstall, []State{Stopped}, nil, "remove x", ""},
		{"uninstall of what runs", uninstall, []State{Running}, nil, "", "service stop"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				f := &fake{states: c.states, refuses: c.refuses}
				err := c.order(ctx, f)
				if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v; want an error with %q", err, c.says)
				}
				if did := strings.Join(f.did, ", "); did != c.did {
					t.Errorf("it did %q, want %q", did, c.did)
				}
			})
		})
	}
}

func start(ctx context.Context, m Manager) error   { return Start(ctx, m, "x") }
func stop(ctx context.Context, m Manager) error    { return Stop(ctx, m, "x") }
func uninstall(_ context.Context, m Manager) error { return Uninstall(m, "x") }

func TestElsewhere(t *testing.T) {
	t.Parallel()
	for system, instead := range map[string]string{"linux": "caddy-broker.service", "darwin": "launchd", "freebsd": "its own manager"} {
		err := elsewhere(system)
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), instead) {
			t.Errorf("%s: %v; want one that names %q", system, err, instead)
		}
	}
}

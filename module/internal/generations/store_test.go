// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package generations

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func of(text string) Generation {
	return Generation{Since: time.Unix(1, 0), By: "test", Digest: Digest([]byte(text)), Config: []byte(text)}
}

func refused(text string) Refused { return Refused{Digest: Digest([]byte(text)), Why: "no answer"} }

func numbers(s *Store) (text string) {
	for _, g := range s.View().Generations {
		text += fmt.Sprintf("%d:%s ", g.Number, g.By)
	}
	return strings.TrimSpace(text)
}

// The last ten are kept, over the end of the process too, and numbers go on.
func TestStore(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "g.json")
	warn := func(err error) { t.Error(err) }
	var s Store
	s.Keep(file, warn)
	for i := range 12 {
		s.Served(of(fmt.Sprintf("[%d]", i)))
		s.Served(of(fmt.Sprintf("[%d]", i))) // again
	}
	s.Sync()
	var next Store
	next.Keep(file, warn)
	next.Served(of("[11]"))
	next.Served(of("[0]"))
	if got := numbers(&next); !strings.HasPrefix(got, "13:test 12:test ") || len(strings.Fields(got)) != Kept {
		t.Errorf("kept are %s", got)
	}
	next.Sync()
	for path, want := range map[string]os.FileMode{file: 0o600, filepath.Dir(file) + "/g": 0o700, configOf(file, "[0]"): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has another mode than %v, or is not there (%v)", path, want, err)
		}
	}
}

// configOf is the file of a configuration.
func configOf(file, text string) string {
	return filepath.Join(strings.TrimSuffix(file, ".json"), Digest([]byte(text))+".json")
}

// What a change costs does not grow with what was kept before: a configuration is written
// once, however often it serves, and removed when no generation has it any more.
func TestOneConfigurationIsWrittenOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "g.json")
	var s Store
	s.Keep(file, func(err error) { t.Error(err) })
	s.Served(of("[0]"))
	s.Sync()
	first, err := os.Stat(configOf(file, "[0]"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range Kept - 1 {
		s.Served(of(fmt.Sprintf("[%d]", i+1)))
		s.Refuse(refused("[x]"))
	}
	s.Sync()
	if now, err := os.Stat(configOf(file, "[0]")); err != nil || !os.SameFile(first, now) {
		t.Errorf("it was written again (%v)", err)
	}
	list, err := os.ReadFile(file)
	if err != nil || strings.Contains(string(list), `"config"`) {
		t.Errorf("the list has configurations (%v): %s", err, list)
	}
	s.Served(of("[0]")) // again, and the first generation is too old
	s.Served(of("[20]"))
	s.Sync()
	entries, err := os.ReadDir(filepath.Dir(configOf(file, "")))
	if err != nil || len(entries) != Kept {
		t.Errorf("%d configurations are there (%v)", len(entries), err)
	}
	if now, err := os.Stat(configOf(file, "[0]")); err != nil || !os.SameFile(first, now) {
		t.Errorf("what serves again was written again (%v)", err)
	}
}

// A list of the version before, which has the configurations in it, is gone on with.
func TestFirstVersion(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "g.json")
	if err := os.WriteFile(file, []byte(`{"caddy_broker_generations":1,"last":7,"generations":[{"number":7,"digest":"a","config":{"b":1}}],"refused":[{"digest":"c"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // as it was, and as it is written now
		var s Store
		s.Keep(file, func(err error) { t.Error(err) })
		if g, _ := s.Instead("c"); g == nil || string(g.Config) != `{"b":1}` || g.Number != 7 {
			t.Errorf("it has %+v", g)
		}
		s.Refuse(Refused{Digest: "d"})
		s.Sync()
	}
}

// A process that was killed at any point of a change finds a whole list: the one before or
// the new one, with all of its configurations.
func TestKilledInBetween(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "g.json")
	var s Store
	s.Keep(file, func(err error) { t.Error(err) })
	s.Served(of("[1]"))
	s.Sync()
	for _, remains := range []string{configOf(file, "[2]") + ".new", configOf(file, "[2]"), file + ".new"} {
		if err := os.WriteFile(remains, []byte("[2"), 0o600); err != nil {
			t.Fatal(err)
		}
		var next Store
		next.Keep(file, func(err error) { t.Error(err) })
		if got := numbers(&next); got != "1:test" {
			t.Errorf("with %s there are %s", remains, got)
		}
	}
	var next Store
	next.Keep(file, func(err error) { t.Error(err) })
	next.Served(of("[2]"))
	next.Sync()
	var last Store
	last.Keep(file, func(err error) { t.Error(err) })
	if g, _, err := last.Back(2); err != nil || string(g.Config) != "[2]" {
		t.Errorf("it has %s (%v)", g.Config, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(configOf(file, ""))); err != nil || len(entries) != 2 {
		t.Errorf("%d configurations are there (%v)", len(entries), err)
	}
}

// What was refused is not started again by itself, until it has served after all.
func TestInstead(t *testing.T) {
	t.Parallel()
	var s Store
	instead := func(text string) string {
		g, _ := s.Instead(Digest([]byte(text)))
		if g == nil {
			return ""
		}
		return string(g.Config)
	}
	s.Refuse(refused("1"))
	if got := instead("1"); got != "" {
		t.Errorf("instead of the only one %q is started", got)
	}
	s.Served(of("2"))
	s.Served(of("3"))
	for _, c := range []struct{ given, want string }{{"1", "3"}, {"2", ""}, {"3", ""}, {"4", ""}} {
		if got := instead(c.given); got != c.want {
			t.Errorf("instead of %s %q is started, want %q", c.given, got, c.want)
		}
	}
	s.Refuse(refused("3")) // it was rolled back
	if got := instead("1"); got != "2" {
		t.Errorf("instead of 1 %q is started, want 2", got)
	}
	s.Served(of("3"))
	if got := instead("3"); got != "" {
		t.Errorf("instead of what serves %q is started", got)
	}
}

func TestBack(t *testing.T) {
	t.Parallel()
	var s Store
	if _, _, err := s.Back(0); err == nil {
		t.Error("there is one to go back to, where there is none")
	}
	for _, text := range []string{"1", "2", "3"} {
		s.Served(of(text))
	}
	for number, want := range map[int]int{0: 2, 1: 1, 2: 2, 3: 3} {
		to, serving, err := s.Back(number)
		if err != nil || to.Number != want || serving.Number != 3 {
			t.Errorf("back to %d is %d of %d (%v)", number, to.Number, serving.Number, err)
		}
	}
	if _, _, err := s.Back(7); !errors.Is(err, ErrUnknown) {
		t.Errorf("error %v", err)
	}
}

// What cannot be read or written costs one complaint.
func TestComplaints(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "g.json")
	if err := os.WriteFile(file, []byte(`{"caddy_broker_generations":7}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var said []string
	var s Store
	s.Keep(file, func(err error) { said = append(said, err.Error()) })
	defer s.Keep("", nil)
	if aside, _ := filepath.Glob(file + ".*Z"); len(aside) != 1 || len(said) != 1 || !strings.Contains(said[0], "version 7") {
		t.Errorf("aside are %q, said was %q", aside, said)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // no folder
		t.Fatal(err)
	}
	s.Served(of("1"))
	s.Sync()
	s.Served(of("2"))
	s.Sync()
	if len(said) != 2 || !strings.Contains(said[1], "writing the generations") {
		t.Errorf("said was %q", said)
	}
	if got := numbers(&s); got != "2:test 1:test" {
		t.Errorf("known are %s", got)
	}
}

// TestTriedAgain: a list that could not be written is written when it can be, without a change.
func TestTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "g.json")
		blocked := file + ".new"
		if err := os.Mkdir(blocked, 0o700); err != nil {
			t.Fatal(err)
		}
		var said int
		var s Store
		s.Keep(file, func(error) { said++ })
		defer s.Keep("", nil)
		s.Served(of("1"))
		time.Sleep(2 * again)
		synctest.Wait()
		if said != 1 {
			t.Fatalf("%d warnings, want one", said)
		}
		if err := os.Remove(blocked); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * again)
		synctest.Wait()
		var after Store
		after.Keep(file, func(err error) { t.Error(err) })
		if got := numbers(&after); got != "1:test" {
			t.Errorf("on disk are %q", got)
		}
	})
}

// The one before is another one, and none that was refused.
func TestBackPassesOver(t *testing.T) {
	t.Parallel()
	var s Store
	for _, digest := range []string{"a", "b", "c", "a"} {
		s.Served(Generation{Digest: digest})
	}
	s.Refuse(Refused{Digest: "c"})
	if to, serving, err := s.Back(0); err != nil || to.Digest != "b" || serving.Number != 4 {
		t.Errorf("back leads from %d to %q (%v), want b", serving.Number, to.Digest, err)
	}
	s.Refuse(Refused{Digest: "b"})
	if to, _, err := s.Back(0); !errors.Is(err, ErrUnknown) {
		t.Errorf("back leads to %q (%v), want an error", to.Digest, err)
	}
}

// What was rolled back is known as such until it serves after all, whatever else is said
// against it meanwhile.
func TestRolledBack(t *testing.T) {
	t.Parallel()
	var s Store
	s.Served(of("1"))
	bad := refused("2")
	bad.RolledBack = true
	s.Refuse(bad)
	s.Refuse(refused("2"))
	s.Refuse(refused("3"))
	for text, want := range map[string]bool{"1": false, "2": true, "3": false} {
		if got := s.RolledBack(Digest([]byte(text))); got != want {
			t.Errorf("%s was rolled back: %v, want %v", text, got, want)
		}
	}
	s.Served(of("2"))
	if s.RolledBack(bad.Digest) {
		t.Error("what serves was rolled back")
	}
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

const generational = `{
	admin {$ADMIN}
	auto_https off
	broker {
		state_dir state
		probe GET http://127.0.0.1:{$PORT}/ {
			expect 200
		}
	}
}
http://:{$PORT} {
	header X-Secret-Token TOKEN
	respond ANSWER
}
`

// listed is what the API says of generations.
type listed struct {
	Generations []struct {
		Number     int    `json:"number"`
		By         string `json:"by"`
		File       string `json:"file"`
		Serving    bool   `json:"serving"`
		Difference string `json:"difference"`
	} `json:"generations"`
	Refused []struct {
		Why string `json:"why"`
	} `json:"refused"`
}

func generationsOf(t *testing.T, b *harness.Broker) (l listed) {
	t.Helper()
	if err := b.Admin(t.Context(), http.MethodGet, "/broker/generations", &l); err != nil {
		t.Fatal(err)
	}
	return l
}

// awaitGeneration is that list as soon as it begins with the generation of a number: it is
// written down after it has come to serve.
func awaitGeneration(t *testing.T, b *harness.Broker, number int) (l listed) {
	t.Helper()
	if err := harness.Until(t.Context(), soon, func() error {
		if l = generationsOf(t, b); len(l.Generations) == 0 || l.Generations[0].Number != number {
			return fmt.Errorf("generations are %+v", l)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return l
}

// again ends the broker's parent as a crash does, and starts it anew.
func again(t *testing.T, b *harness.Broker) {
	t.Helper()
	if err := killProcess(t, b.Process().Pid()); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, 0)
}

// TestGenerations: what has served is remembered, by whom it was loaded and what it has
// changed; it can serve again, and a configuration that was refused or rolled back is not
// started again unless that is asked for.
func TestGenerations(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	file := func(answer, token string) string {
		return strings.NewReplacer("ANSWER", answer, "TOKEN", token).Replace(generational)
	}
	b := newBroker(t, file("one", "s3cret"), "PORT="+port)
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, 0)
	answers := func(want string) {
		t.Helper()
		if got := get(t, "127.0.0.1:"+port).Body; got != want {
			t.Errorf("answered %q, want %q", got, want)
		}
	}

	if out, err := reload(t, b, file("two", "0ther")); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := reload(t, b, file("broken 500", "0ther")); err == nil {
		t.Fatal("what fails a probe serves")
	}
	l := generationsOf(t, b)
	if len(l.Generations) != 2 || len(l.Refused) != 1 || !strings.Contains(l.Refused[0].Why, "answered 500") {
		t.Fatalf("%+v", l)
	}
	second, first := l.Generations[0], l.Generations[1]
	if first.Number != 1 || first.By != "the start" || second.Number != 2 || !second.Serving || first.Serving ||
		!strings.HasPrefix(second.By, "caddy reload from 127.0.0.1") || filepath.Base(second.File) != "Caddyfile" {
		t.Errorf("%+v", l)
	}
	for _, want := range []string{"@@ ", `"body": "one"`, `"body": "two"`, "(secret "} {
		if !strings.Contains(second.Difference, want) {
			t.Errorf("the difference lacks %s:\n%s", want, second.Difference)
		}
	}
	if strings.Contains(second.Difference, "s3cret") || strings.Contains(second.Difference, "0ther") {
		t.Errorf("the difference has a secret:\n%s", second.Difference)
	}

	again(t, b) // the file is what was refused
	answers("two")
	if out, err := b.Run(t.Context(), "broker", "status", "--address", b.AdminAddr()); err == nil || !strings.Contains(out, "rolled back") || !strings.Contains(out, "answered 500") {
		t.Errorf("status says nothing of what was refused: %v\n%s", err, out)
	}
	if said := b.Process().Output(); !strings.Contains(said, "broker_reload_rolled_back") || !strings.Contains(said, "`caddy reload --force` loads it") {
		t.Error("the log says nothing of what was refused, or not how it is loaded all the same")
	}

	if out, err := reload(t, b, file("three", "0ther")); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := b.Run(t.Context(), "broker", "status", "--address", b.AdminAddr()); err != nil {
		t.Errorf("after a good reload status says: %v\n%s", err, out)
	}
	out, err := b.Run(t.Context(), "broker", "rollback", "1", "--address", b.AdminAddr())
	if err != nil || !strings.Contains(out, "generation 1 serves again instead of generation 3") {
		t.Errorf("rollback: %v\n%s", err, out)
	}
	answers("one")
	if out, err = b.Run(t.Context(), "broker", "rollback", "99", "--address", b.AdminAddr()); err == nil || !strings.Contains(out, "no such generation") {
		t.Errorf("rollback to what there is not: %v\n%s", err, out)
	}

	again(t, b) // the file is what was rolled back
	answers("one")
	args := b.Args
	b.Args = []string{"broker", "run", "--ha", "--latest", "--config", "{}"}
	again(t, b)
	answers("three")
	if l := awaitGeneration(t, b, 5); len(l.Refused) != 1 || !l.Generations[0].Serving {
		t.Errorf("what serves after all: %+v", l)
	}

	b.Args = args
	if out, err := b.Run(t.Context(), "broker", "rollback", "1", "--address", b.AdminAddr()); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	answers("one")
	again(t, b)
	answers("one")
	if out, err := b.Run(t.Context(), "reload", "--force", "--adapter", "broker", "--config", "{}"); err != nil {
		t.Fatalf("a forced reload of what was rolled back: %v\n%s", err, out)
	}
	answers("three")
}

// TestRefusedAndAskedFor: what was refused is started again if a request asks for it: the
// guard is for a start that no one looks at.
func TestRefusedAndAskedFor(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	file := func(answer string) string {
		return strings.NewReplacer("ANSWER", answer, "TOKEN", "x").Replace(generational)
	}
	b := startBroker(t, file("one"), "PORT="+port)
	if out, err := reload(t, b, file("\"two\" 500")); err == nil {
		t.Fatalf("it was not refused:\n%s", out)
	}
	if out, err := reload(t, b, "{\n\tadmin {$ADMIN}\n\tauto_https off\n\tbroker off\n}\nhttp://:{$PORT} {\n\trespond one\n}\n"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := reload(t, b, file("\"two\" 500")); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	client := &harness.Client{Addr: "127.0.0.1:" + port}
	if res := client.Do(t.Context(), "asked", time.Now(), harness.Request{Method: http.MethodGet}); res.Body != "two" {
		t.Errorf("answered %q (%v), want two", res.Body, res.Err)
	}
}

// TestGenerationsWithoutAFolder: where the state cannot be written, one line says so, and
// the rest works.
func TestGenerationsWithoutAFolder(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	text := strings.NewReplacer("state_dir state", "state_dir state/none", "TOKEN", "x").Replace(generational)
	b := newBroker(t, strings.Replace(text, "ANSWER", "one", 1), "PORT="+port)
	if err := os.WriteFile(filepath.Join(b.Dir, "state"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	awaitActive(t, b, 0)
	if out, err := reload(t, b, strings.Replace(text, "ANSWER", "two", 1)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := b.Run(t.Context(), "broker", "rollback", "--address", b.AdminAddr()); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if got := get(t, "127.0.0.1:"+port).Body; got != "one" {
		t.Errorf("answered %q after the roll-back", got)
	}
	if n := strings.Count(b.Process().Output(), "state of the broker"); n != 1 {
		t.Errorf("it was said %d times that no state is kept", n)
	}
}

// TestGenerationsLeaveTheFolder: a folder that the state has left is another broker's to
// use: nothing is written there any more.
func TestGenerationsLeaveTheFolder(t *testing.T) {
	t.Parallel()
	text := strings.Replace(generational, "TOKEN", "x", 1)
	answering := func(answer, dir string) string {
		return strings.NewReplacer("ANSWER", answer, "state_dir state", "state_dir "+dir).Replace(text)
	}
	b := startBroker(t, answering("one", "state"), "PORT="+freePort(t))
	list := func() (all string) {
		t.Helper()
		files, _ := filepath.Glob(filepath.Join(b.Dir, "state", "*.generations.json"))
		if len(files) != 1 {
			t.Fatalf("the lists are %v", files)
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	awaitGeneration(t, b, 1)
	was := list()
	for number, dir := range []string{"off", "off", "elsewhere", "off"} {
		if out, err := reload(t, b, answering(fmt.Sprintf("then%d", number), dir)); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		awaitGeneration(t, b, number+2)
		if now := list(); now != was {
			t.Errorf("after state_dir %s the list in the first folder is %s, was %s", dir, now, was)
		}
	}
}

// TestOptionsOfWhatWasRefused: where what served last is started instead of a file that was
// refused, it is so with its own options: those of the file may be why that was refused.
func TestOptionsOfWhatWasRefused(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	text := strings.NewReplacer("ANSWER", "one", "TOKEN", "x").Replace(generational)
	b := startBroker(t, text, "PORT="+port)
	awaitActive(t, b, 0)
	small := strings.NewReplacer("state_dir state", "state_dir state\n\t\tmax_memory 1MiB", "one", "two").Replace(text)
	const why = "option max_memory: value 1.0 MiB is not allowed"
	if out, err := reload(t, b, small); err == nil || !strings.Contains(out, why) {
		t.Fatalf("reload with too small a limit: %v\n%s", err, out)
	}
	again(t, b)
	if got := get(t, "127.0.0.1:"+port).Body; got != "one" {
		t.Errorf("answered %q", got)
	}
	if out, err := b.Run(t.Context(), "broker", "status", "--address", b.AdminAddr()); err == nil || !strings.Contains(strings.Join(strings.Fields(out), " "), why) {
		t.Errorf("status says nothing of what was refused: %v\n%s", err, out)
	}
	if out, err := reload(t, b, strings.Replace(text, "one", "three", 1)); err != nil || !strings.Contains(out, "what was loaded last is not what runs: ") {
		t.Errorf("a reload after that says nothing of it: %v\n%s", err, out)
	}
	if got := get(t, "127.0.0.1:"+port).Body; got != "three" {
		t.Errorf("answered %q after a good reload", got)
	}
	if out, err := reload(t, b, strings.Replace(text, "one", "four", 1)); err != nil || strings.Contains(out, "rolled back") {
		t.Errorf("a reload after a good one: %v\n%s", err, out)
	}
}

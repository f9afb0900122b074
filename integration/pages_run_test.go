// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// What README and docs show in a console is typed as it is printed, and has to
// answer as it is printed: in a network of its own, where no port and no address is
// taken, and localhost is what it is.
func TestDocumentedCommands(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("the program curl is not there")
	}
	isolated(t, documentedCommands)
}

func documentedCommands(t *testing.T) {
	for i := 1; i <= 4; i++ {
		ip(t, fmt.Sprintf("addr add 10.0.0.%d/32 dev lo", i))
	}
	for _, p := range pagesRun {
		t.Run(filepath.Base(p.name), func(t *testing.T) {
			c := newConsole(t)
			if p.started {
				c.serveProduction()
			}
			for _, b := range blocksOf(t, p.name) {
				if b.language == "console" && notRun[p.name][first(b)] == "" {
					c.run(b)
				}
			}
		})
	}
}

// A console is a directory in which commands are typed, as in a checkout of the
// repository in which the program has been built.
type console struct {
	t   *testing.T
	dir string
	// servers are what was started and goes on.
	servers []*harness.Process
}

func newConsole(t *testing.T) *console {
	t.Helper()
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(scratch, "")
	if err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"caddy": program, "examples": filepath.Join(root, "examples")} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	c := &console{t: t, dir: dir}
	t.Cleanup(func() {
		for _, s := range c.servers {
			if err := s.Signal(syscall.SIGTERM); err != nil {
				t.Errorf("ending a server: %v", err)
			}
			<-s.Exited()
			if t.Failed() {
				t.Logf("a server wrote:\n%s", s.Output())
			}
		}
	})
	return c
}

// serveProduction starts the configuration of docs/production.md, with backends at
// its addresses, certificates of its own and its logs in the directory.
func (c *console) serveProduction() {
	c.t.Helper()
	var config string
	for _, b := range blocksOf(c.t, "docs/production.md") {
		if b.language == "caddyfile" {
			config = strings.Join(b.lines, "\n") + "\n"
			break
		}
	}
	config = strings.ReplaceAll(config, "/var/log/caddy", c.dir)
	config = strings.Replace(config, "{\n", "{\n\tlocal_certs\n\tskip_install_trust\n", 1)
	if err := os.WriteFile(filepath.Join(c.dir, "Caddyfile"), []byte(config), 0o600); err != nil {
		c.t.Fatal(err)
	}
	for i := 1; i <= 4; i++ {
		c.start(fmt.Sprintf("caddy respond --listen 10.0.0.%d:8080 backend", i))
	}
	c.start("caddy run --config Caddyfile --adapter broker")
	c.awaitAllRight()
}

// serving matches a command that serves until it is ended.
var serving = regexp.MustCompile(`^(\./)?caddy (broker )?(run|respond)\b`)

// killed matches the command that kills the process whose id a page shows.
var killed = regexp.MustCompile(`^kill -9 \d+$`)

// run types the commands of a block and compares what they write.
func (c *console) run(b codeBlock) {
	c.t.Helper()
	var want []string
	command := ""
	for i := 0; i <= len(b.lines); i++ {
		if i < len(b.lines) && !strings.HasPrefix(b.lines[i], "$ ") {
			want = append(want, b.lines[i])
			continue
		}
		if command != "" {
			c.command(command, want)
		}
		if i < len(b.lines) {
			command, want = strings.TrimPrefix(b.lines[i], "$ "), nil
		}
	}
}

func (c *console) command(command string, want []string) {
	c.t.Helper()
	switch {
	case command == "go build ./cmd/caddy": // it is built already
		return
	case serving.MatchString(command):
		c.start(command)
		c.awaitAllRight()
		return
	case killed.MatchString(command):
		command = "kill -9 " + strconv.Itoa(c.activePid())
	}
	cmd := c.shell(command)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		c.t.Fatalf("$ %s: %v\n%s%s", command, err, &stdout, &stderr)
	}
	if err := matches(strings.Join(want, "\n"), stdout.String()); err != nil {
		c.t.Errorf("$ %s: %v\nwrote:\n%s\nthe page has:\n%s", command, err, &stdout, strings.Join(want, "\n"))
	}
}

// shell is a command as a shell in the directory runs it.
func (c *console) shell(command string) *exec.Cmd {
	cmd := exec.CommandContext(c.t.Context(), "sh", "-c", "exec "+command)
	cmd.Dir = c.dir
	cmd.Env = []string{
		"PATH=" + c.dir + ":" + os.Getenv("PATH"), "HOME=" + c.dir, "TMPDIR=" + c.dir,
		"XDG_CONFIG_HOME=" + filepath.Join(c.dir, "config"), "XDG_DATA_HOME=" + filepath.Join(c.dir, "data"),
	}
	return cmd
}

func (c *console) start(command string) {
	c.t.Helper()
	cmd := c.shell(command)
	s, err := harness.StartProcess(cmd, filepath.Join(c.dir, fmt.Sprintf("server%d.log", len(c.servers))))
	if err != nil {
		c.t.Fatal(err)
	}
	c.servers = append(c.servers, s)
}

// awaitAllRight waits until status says that everything is all right, and every
// backend has answered.
func (c *console) awaitAllRight() {
	c.t.Helper()
	if err := harness.Until(c.t.Context(), soon, func() error {
		out, err := c.shell("caddy broker status").CombinedOutput()
		if err == nil && bytes.Contains(out, []byte("untried")) {
			err = errors.New("a backend has not answered yet")
		}
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}); err != nil {
		c.t.Fatalf("%v\n%s", err, c.servers[len(c.servers)-1].Output())
	}
}

// activePid is the process id of the child that serves, from what status shows.
func (c *console) activePid() int {
	c.t.Helper()
	out, err := c.shell("caddy broker status").Output()
	if err != nil {
		c.t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "default" {
			pid, err := strconv.Atoi(f[2])
			if err != nil {
				c.t.Fatal(err)
			}
			return pid
		}
	}
	c.t.Fatalf("no child in\n%s", out)
	return 0
}

// What differs from run to run: times and numbers that stand alone.
var (
	timeWord   = regexp.MustCompile(`^(\d+(\.\d+)?(ns|µs|ms|s|m|h|d))+$`)
	numberWord = regexp.MustCompile(`^\d+$`)
)

// matches compares what was written with what a page shows. Times and numbers need
// not be the same, nor blanks; … stands for any text, and alone for any lines.
func matches(want, got string) error {
	var pattern strings.Builder
	pattern.WriteString(`^`)
	for line := range strings.Lines(want) {
		words := strings.Fields(line)
		if len(words) == 1 && words[0] == "…" {
			pattern.WriteString(`(?:.*\n)*`)
			continue
		}
		for i, word := range words {
			if i > 0 {
				pattern.WriteString(` `)
			}
			pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(plain(word)), `…`, `.*`))
		}
		pattern.WriteString(`\n`)
	}
	pattern.WriteString(`$`)
	var text strings.Builder
	for line := range strings.Lines(got) {
		var words []string
		for word := range strings.FieldsSeq(line) {
			words = append(words, plain(word))
		}
		text.WriteString(strings.Join(words, " ") + "\n")
	}
	if !regexp.MustCompile(pattern.String()).MatchString(text.String()) {
		return errors.New("it does not write what the page shows")
	}
	return nil
}

// plain is a word without what differs from run to run.
func plain(word string) string {
	core := strings.TrimRight(word, ";,.:")
	rest := word[len(core):]
	switch {
	case timeWord.MatchString(core):
		return "TIME" + rest
	case numberWord.MatchString(core):
		return "NUMBER" + rest
	default:
		return word
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		want, got string
		same      bool
	}{
		{"a 3s\nb", "a  250ms\nb\n", true},
		{"pid 17", "pid 4711\n", true},
		{"pid 17", "pid none\n", false},
		{"a\n…", "a\nb\nc\n", true},
		{"all right: …", "all right: default serves\n", true},
		{"…\nValid configuration", "Valid configuration\n", true},
		{"http://10.0.0.1:8080 up", "http://10.0.0.2:8080 up\n", false},
		{"", "something\n", false},
		{"a", "a\nb\n", false},
	} {
		if err := matches(test.want, test.got); (err == nil) != test.same {
			t.Errorf("%q is compared with %q: %v, want same: %t", test.got, test.want, err, test.same)
		}
	}
}

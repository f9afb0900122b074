// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/fdstore"
)

// Broker is a broker to be run: a Caddyfile and the surroundings of its
// processes, which share nothing with other brokers or the user's own Caddy.
//
// The Caddyfile names its addresses by environment variables, which Caddy puts
// in: {$ADMIN} for the admin endpoint, and those in Env.
type Broker struct {
	// Dir is the working directory of all its processes.
	Dir string
	// Env are further variables, "NAME=value".
	Env []string
	// Args are the arguments of caddy; default is to run the Caddyfile with --ha.
	// {} stands for the path of the Caddyfile.
	Args []string
	// Manager, if there is one, is the service manager that starts it.
	Manager *fdstore.Manager

	binary string
	built  string // where binary was copied from, if it was
	admin  string // host:port
	netns  string // empty for the one of this process
	proc   *Process
}

// NewBroker prepares a broker in dir, which has a short path without symbolic
// links: the private sockets of children lie below it. binary comes from Build.
func NewBroker(binary, dir, caddyfile string) (*Broker, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	b := &Broker{Dir: dir, binary: binary, admin: "127.0.0.1:" + port}
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o700); err != nil {
		return nil, err
	}
	return b, b.Write(caddyfile)
}

// MoveTo makes the broker, which is not started yet, run in the network namespace
// of that name, with its admin endpoint at that IP address.
func (b *Broker) MoveTo(netns, ip string) {
	_, port, _ := net.SplitHostPort(b.admin)
	b.netns, b.admin = netns, net.JoinHostPort(ip, port)
}

// Child is a supervised child, as the admin API tells of it.
type Child struct {
	Name      string    `json:"name"`
	State     string    `json:"state"`
	Pid       int       `json:"pid"`
	Since     time.Time `json:"since"`
	Restarts  int       `json:"restarts"`
	LastExit  *Exit     `json:"last_exit"`
	NextStart time.Time `json:"next_start"`
	Processes []struct {
		Pid     int       `json:"pid"`
		State   string    `json:"state"`
		Started time.Time `json:"started"`
		Ready   time.Time `json:"ready"`
	} `json:"processes"`
}

// StartTime is how long the active process took to get ready, as the broker saw it.
func (c *Child) StartTime() time.Duration {
	for _, p := range c.Processes {
		if p.State == "active" {
			return p.Ready.Sub(p.Started)
		}
	}
	return 0
}

// Exit is how a child ended.
type Exit struct {
	Code   int       `json:"code"`
	Signal string    `json:"signal"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	Stderr string    `json:"stderr"`
}

// Start starts the broker's processes and does not wait for them.
func (b *Broker) Start() error {
	args := b.Args
	if args == nil {
		args = []string{"broker", "run", "--ha", "--config", "{}"}
	}
	cmd := b.command(context.Background(), args...)
	if b.Manager != nil {
		files, env, err := b.Manager.Start()
		defer closeAll(files)
		if err != nil {
			return err
		}
		cmd.ExtraFiles, cmd.Env = files, append(cmd.Env, env...)
		cmd.Args = fdstore.Exec(append([]string{cmd.Path}, cmd.Args[1:]...))
		cmd.Path = cmd.Args[0]
	}
	var err error
	b.proc, err = StartProcess(cmd, filepath.Join(b.Dir, "output.log"))
	return err
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// Install puts a program of the broker's own where its program is from now on, as a
// package does: the one that runs is not touched. change may make it another one; nil
// copies what Build made.
func (b *Broker) Install(change func(program []byte) []byte) error {
	if b.built == "" {
		b.built = b.binary
	}
	data, err := os.ReadFile(b.built)
	if err != nil {
		return err
	}
	if change != nil {
		data = change(data)
	}
	next := filepath.Join(b.Dir, "caddy.new")
	if err := os.WriteFile(next, data, 0o700); err != nil { //nolint:gosec // a program
		return err
	}
	b.binary = filepath.Join(b.Dir, "caddy")
	return os.Rename(next, b.binary)
}

// Write changes the Caddyfile.
func (b *Broker) Write(caddyfile string) error {
	return os.WriteFile(filepath.Join(b.Dir, "Caddyfile"), []byte(caddyfile), 0o600)
}

func (b *Broker) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.binary)
	if b.netns != "" { // ip becomes the program
		cmd = exec.CommandContext(ctx, "ip", "netns", "exec", b.netns, b.binary)
	}
	for _, arg := range args {
		if arg == "{}" {
			arg = filepath.Join(b.Dir, "Caddyfile")
		}
		cmd.Args = append(cmd.Args, arg)
	}
	cmd.Dir = b.Dir
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + b.Dir,
		"TMPDIR=" + filepath.Join(b.Dir, "tmp"),
		"XDG_CONFIG_HOME=" + filepath.Join(b.Dir, "config"),
		"XDG_DATA_HOME=" + filepath.Join(b.Dir, "data"),
		"XDG_RUNTIME_DIR=" + filepath.Join(b.Dir, "tmp"),
		"ADMIN=" + b.admin,
	}, b.Env...)
	return cmd
}

// Run runs another caddy command in the broker's surroundings and returns what
// it wrote to both outputs; its error has the exit code.
func (b *Broker) Run(ctx context.Context, args ...string) (string, error) {
	out, err := b.command(ctx, args...).CombinedOutput()
	return string(out), err
}

// Pipe starts another caddy command in the broker's surroundings and returns what it
// writes to standard output. It is killed when ctx ends.
func (b *Broker) Pipe(ctx context.Context, args ...string) (io.Reader, error) {
	cmd := b.command(ctx, args...)
	reader, writer := io.Pipe()
	cmd.Stdout = writer
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = reader.Close() }) // or Wait would wait for a reader
	go func() { _ = writer.CloseWithError(cmd.Wait()) }()
	return reader, nil
}

// AdminAddr is where the admin endpoint listens, host:port.
func (b *Broker) AdminAddr() string { return b.admin }

// Process is the parent.
func (b *Broker) Process() *Process { return b.proc }

// Admin sends a request to the admin API; an answer other than 200 is an error.
// The answer is put into v as JSON unless v is nil.
func (b *Broker) Admin(ctx context.Context, method, path string, v any) error {
	body, err := b.ask(ctx, method, path)
	if err != nil || v == nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%s %s: %w: %s", method, path, err, body)
	}
	return nil
}

// Metric is the sum of a metric at path, such as /metrics, as [Metric] has it.
func (b *Broker) Metric(ctx context.Context, path, name string, labels ...string) (float64, error) {
	text, err := b.ask(ctx, http.MethodGet, path)
	if err != nil {
		return 0, err
	}
	return Metric(text, name, labels...)
}

// Metric is the sum of a metric's series in a text of Prometheus' format, whose
// labels contain all the given ones, such as reason="stop"; 0 where there is none.
func Metric(text []byte, name string, labels ...string) (float64, error) {
	sum := 0.0
	for line := range strings.Lines(string(text)) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest, found := strings.CutPrefix(series, name)
		if !found || rest != "" && rest[0] != '{' {
			continue
		}
		if slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(rest, l) }) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("reading metric %s: %w", series, err)
		}
		sum += n
	}
	return sum, nil
}

// ask is the body of an answer of the admin API, whose status must be 200.
func (b *Broker) ask(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+b.admin+path, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true // nothing of ours keeps the admin endpoint from closing
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, body)
	}
	return body, err
}

// Child returns the child of that name.
func (b *Broker) Child(ctx context.Context, name string) (*Child, error) {
	var status struct {
		Children []*Child `json:"children"`
	}
	if err := b.Admin(ctx, "GET", "/broker/", &status); err != nil {
		return nil, err
	}
	for _, child := range status.Children {
		if child.Name == name {
			return child, nil
		}
	}
	return nil, fmt.Errorf("no child named %q among %d", name, len(status.Children))
}

// AwaitChild waits until the child is as f wishes, and returns it. It ends early
// when the parent ends.
func (b *Broker) AwaitChild(ctx context.Context, name string, f func(*Child) bool) (*Child, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var child *Child
	err := Until(ctx, startPatience, func() error {
		select {
		case <-b.proc.Exited():
			err := fmt.Errorf("the broker ended with code %d", b.proc.ExitCode())
			cancel(err)
			return err
		default:
		}
		var err error
		if child, err = b.Child(ctx, name); err != nil {
			return err
		}
		if !f(child) {
			return fmt.Errorf("child %+v is not as expected", *child)
		}
		return nil
	})
	return child, err
}

// AwaitActive waits until the default child serves, and returns it. With a pid
// other than 0 it must be another process than that one.
func (b *Broker) AwaitActive(ctx context.Context, notPid int) (*Child, error) {
	return b.AwaitChild(ctx, "default", func(c *Child) bool {
		return c.State == "active" && c.Pid != 0 && c.Pid != notPid
	})
}

// HALog returns the lines of broker_ha.log.
func (b *Broker) HALog() ([]string, error) {
	text, err := os.ReadFile(filepath.Join(b.Dir, "broker_ha.log"))
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"), nil
}

// Processes are the ids of all living processes of this broker.
func (b *Broker) Processes() ([]int, error) { return processesIn(b.Dir, b.binary) }

// AwaitGone waits until none of the broker's processes lives.
func (b *Broker) AwaitGone(ctx context.Context, patience time.Duration) error {
	return Until(ctx, patience, func() error {
		pids, err := b.Processes()
		if err == nil && len(pids) > 0 {
			err = fmt.Errorf("processes %v live", pids)
		}
		return err
	})
}

// Dump ends the parent so that its goroutines are in its output.
func (b *Broker) Dump() {
	if b.proc.Signal(syscall.SIGABRT) == nil {
		<-b.proc.Exited()
	}
}

// Stop ends the broker in order, by SIGTERM to the parent, and reports whether
// something of it was left over; that is killed, and the parent's goroutines are
// in the output then.
func (b *Broker) Stop(ctx context.Context) error {
	if b.proc == nil {
		return nil
	}
	err := b.proc.Signal(syscall.SIGTERM)
	if err == nil {
		err = b.AwaitGone(ctx, startPatience)
	}
	if err != nil {
		b.Dump()
	}
	pids, scan := b.Processes()
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = b.proc.Kill()
	return errors.Join(err, scan)
}

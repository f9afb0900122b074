// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/notify"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/internal/handover"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
	"github.com/caddy-broker/caddy-broker/module/internal/statefile"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// settleTime bounds how long an upgrade waits for replacements that are under way.
const settleTime = 30 * time.Second

// errNothing says that a process has nothing that another program could go on with.
var errNothing = errors.New("this process supervises nothing: stop it and start the new program")

// upgrades is what there is to know of upgrades.
var upgrades struct {
	running atomic.Bool
	failed  atomic.Pointer[FailedUpgrade]
}

// Upgraded says which program this is, and how it came to be.
type Upgraded struct {
	// Program is the path of the next one.
	Program string `json:"program"`
	Version string `json:"version"`
	// Since and From are when this program took another one's place, and which.
	Since *time.Time `json:"upgraded,omitempty"`
	From  string     `json:"from,omitempty"`
	// Serving says that this program has loaded the configuration.
	Serving bool           `json:"serving"`
	Failed  *FailedUpgrade `json:"failed,omitempty"`
}

// FailedUpgrade is the last one that was refused, or failed.
type FailedUpgrade struct {
	At    time.Time `json:"at"`
	Error string    `json:"error"`
}

// Program says which program this process runs.
func Program() Upgraded {
	u := Upgraded{Program: handover.Program(), Version: handover.Version(), Failed: upgrades.failed.Load()}
	if s := handover.Received(); s != nil {
		u.Since, u.From = &s.At, s.From
	}
	a := host.deciding()
	u.Serving = a != nil && a.Started()
	return u
}

// Upgrade executes the program that is where this one was, in the place of this one:
// the process stays, and with it the children, their connections and all sockets. The
// new program goes on with them, and then replaces them by its own in the usual way.
// Before anything is touched the program is tried: whether it runs, reads what it is
// given, and could load the configuration. Upgrade returns only if it cannot be done;
// everything is as before then. begins is called when nothing but the execution is left.
func Upgrade(ctx context.Context, begins func()) error {
	err := upgrade(ctx, begins)
	caddy.Log().Named("broker").Warn("an upgrade did not take place; this program goes on, and with it all that it serves", zap.Error(err))
	return err
}

// errChanged says that what was tried is not what would be handed over.
var errChanged = errors.New("the configuration was changed while the program was tried with the one before: try again")

func upgrade(ctx context.Context, begins func()) (err error) {
	if !upgrades.running.CompareAndSwap(false, true) {
		return supervisor.ErrHandingOver
	}
	defer upgrades.running.Store(false)
	defer func() { upgrades.failed.Store(&FailedUpgrade{time.Now(), err.Error()}) }()
	program := handover.Program()
	if program == "" {
		return fmt.Errorf("upgrading: %w on this system: stop it and start the new program", errors.ErrUnsupported)
	}
	for range 3 { // as often as the configuration changes meanwhile
		if err = host.tryToBecome(ctx, program, begins); !errors.Is(err, errChanged) {
			break
		}
	}
	return fmt.Errorf("upgrading: %w", err)
}

// tryToBecome tries a program, and hands everything over to it. It returns only if it could not.
func (h *hostState) tryToBecome(ctx context.Context, program string, begins func()) error {
	draft, err := h.draft()
	if err != nil {
		return err
	}
	tried, err := draft.Try(ctx, program)
	if err != nil {
		return err
	}
	draft.Past = handover.PastOf(&h.book, &h.events.hub, LastReload()) // as long as nothing stands still: it may be much
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	return h.become(ctx, draft, tried, begins)
}

// draft is what would be handed over now, without what only this process can have.
func (h *hostState) draft() (*handover.State, error) {
	shown := h.shown.Load()
	if shown == nil {
		return nil, errNothing
	}
	config, err := Wrap(shown)
	if err != nil {
		return nil, err
	}
	s := &handover.State{At: time.Now(), Config: config, Children: make(map[string]*handover.Child), InDoubt: h.doubts.List()}
	for name, c := range h.list() {
		child := &handover.Child{Handover: new(supervisor.Handover), Cut: c.inDoubt.Load()}
		child.Serving, child.Plain, child.Pools = c.pools.handOver()
		s.Children[name] = child
	}
	return s, nil
}

// become hands everything over to the program that was tried with a draft of it. It returns
// only if it could not.
func (h *hostState) become(ctx context.Context, draft *handover.State, tried *handover.Tried, begins func()) (err error) {
	h.turn.Lock()
	defer h.turn.Unlock()
	a := h.deciding()
	if a == nil {
		return errNothing
	}
	var undo []func()
	defer func() {
		for _, f := range undo {
			f()
		}
	}()
	h.generations.Sync() // so that next to nothing of it is left when they stand still
	children := h.list()
	still, cancel, err := standStill(ctx, children)
	undo = append(undo, cancel)
	if err != nil {
		return err
	}
	h.noteRolledBack() // what came while they were waited for
	s, err := h.draft()
	if err != nil {
		return err
	}
	if !bytes.Equal(s.Config, draft.Config) {
		return errChanged
	}
	s.Past = draft.Past
	for name, handed := range still {
		child := s.Children[name]
		child.Handover, child.Dirs = handed, make(map[string]sockets.HandedDir)
		for user, dir := range children[name].dirs.All() {
			d, err := dir.HandOver()
			if err != nil {
				return err
			}
			undo = append(undo, d.Close)
			child.Dirs[user] = d
		}
	}
	a.logger.Info("upgrading: another program takes this one's place; children and connections stay",
		zap.String("program", handover.Program()), zap.String("from", handover.Version()), zap.String("to", tried.Version))
	if err := notify.Reloading(); err != nil {
		a.logger.Warn("telling the service manager of the upgrade", zap.Error(err))
	}
	h.generations.Sync()
	begins()
	err = s.Become(tried)
	if errNotify := notify.Ready(); errNotify != nil {
		a.logger.Warn("telling the service manager that this program goes on", zap.Error(errNotify))
	}
	return err
}

// standStill makes all children stand still, side by side. cancel lets those that do go on.
func standStill(ctx context.Context, children map[string]*Hosted) (still map[string]*supervisor.Handover, cancel func(), err error) {
	type standing struct {
		name   string
		handed *supervisor.Handover
		cancel func()
		err    error
	}
	each := make(chan standing, len(children))
	for name, c := range children {
		go func() {
			handed, cancel, err := c.sup.HandOver(ctx)
			each <- standing{name, handed, cancel, err}
		}()
	}
	still = make(map[string]*supervisor.Handover)
	var cancels []func()
	var failed []error
	for range children {
		s := <-each
		if s.err != nil {
			failed = append(failed, s.err)
			continue
		}
		still[s.name], cancels = s.handed, append(cancels, s.cancel)
	}
	return still, func() {
		for _, f := range cancels {
			f()
		}
	}, errors.Join(failed...)
}

// handedChild is the child of that name that the program before has handed over, the
// first time that it is asked for; nil if there is none.
func handedChild(name string) *handover.Child {
	s := handover.Received()
	if s == nil {
		return nil
	}
	if _, again := resumed.LoadOrStore(name, true); again {
		return nil
	}
	return s.Children[name]
}

func init() {
	if s := handover.Received(); s != nil {
		var last *overview.Reload
		s.Past.Restore(&host.book, &host.events.hub, &last)
		lastLoad.Store(last)
	}
}

// HandedConfig is the configuration of the program before, once; nil if there is none.
func HandedConfig() []byte { return handover.TakeConfig() }

// TakesOver reports whether this program has taken another one's place.
func TakesOver() bool { return handover.Received() != nil }

var resumed sync.Map // of handed children, by name

// resume goes on with what was handed over of a child.
func (c *Hosted) resume(h *handover.Child) error {
	c.inDoubt.Store(h.Cut)
	for user, dir := range h.Dirs {
		c.dirs.Adopt(user, dir)
	}
	return c.pools.resume(h.Serving, h.Plain, h.Pools)
}

// handOver is what the next program goes on with.
func (k *poolKeeper) handOver() (serving int, plain []string, pools []statefile.Piece) {
	k.mu.Lock()
	serving, plain = k.serving, k.sockets
	pieces := k.kept.Pieces()
	k.mu.Unlock()
	for topic, piece := range pieces {
		if data, err := json.Marshal(piece); err == nil {
			pools = append(pools, statefile.Piece{Topic: topic, Data: data})
		}
	}
	return serving, plain, pools
}

// resume goes on with what the program before has handed over.
func (k *poolKeeper) resume(serving int, plain []string, pools []statefile.Piece) error {
	err := k.restore(pools)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.serving, k.sockets = serving, plain
	return err
}

// TryHandover says whether this program could go on with the state that the one which
// tries it has given: why not, or nil.
func TryHandover() error {
	s, pass, err := handover.Trial()
	if err != nil {
		return err
	}
	if err := couldGoOn(s); err != nil {
		return err
	}
	return pass()
}

// couldGoOn reads all of a state, and loads its configuration without starting it.
func couldGoOn(s *handover.State) error {
	for name, c := range s.Children {
		if err := new(poolKeeper).restore(c.Pools); err != nil {
			return fmt.Errorf("child %q: %w", name, err)
		}
	}
	d, err := Unwrap(s.Config)
	if err != nil {
		return err
	}
	parent, err := Wrap(d)
	if err != nil {
		return err
	}
	var cfg *caddy.Config
	if err := caddy.StrictUnmarshalJSON(parent, &cfg); err != nil {
		return fmt.Errorf("decoding config: %w", err)
	}
	if err := caddy.Validate(cfg); err != nil {
		return err
	}
	child, err := childConfig(d)
	if err != nil {
		return err
	}
	return validateChild(child)
}

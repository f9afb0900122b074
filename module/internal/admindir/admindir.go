// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admindir

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
	"github.com/caddy-broker/caddy-broker/supervisor/users"
)

// longestBase is how long the path may be in which a directory of sockets is made: a
// unix socket's has 107 bytes at most.
const longestBase = 70

// Dirs are the directories of one child, by the user as whom a process runs: it can make its
// socket in its own user's only. The zero value has none.
type Dirs struct{ byUser sync.Map }

// Admit makes a directory for the sockets of user's processes, once.
func (d *Dirs) Admit(user string) error {
	if _, ok := d.byUser.Load(user); ok {
		return nil
	}
	dir, err := forUser(user)
	if err != nil {
		return err
	}
	d.byUser.Store(user, dir)
	return nil
}

// Socket is the path of the private admin endpoint of process id, which runs as user; empty
// if that one was not admitted.
func (d *Dirs) Socket(id int, user string) string {
	dir, ok := d.byUser.Load(user)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s/%d.sock", dir.(*sockets.Dir).Path, id)
}

// All are the directories by user.
func (d *Dirs) All() iter.Seq2[string, *sockets.Dir] {
	return func(yield func(string, *sockets.Dir) bool) {
		d.byUser.Range(func(user, dir any) bool { return yield(user.(string), dir.(*sockets.Dir)) })
	}
}

// Adopt goes on with a directory that another program has handed over.
func (d *Dirs) Adopt(user string, handed sockets.HandedDir) {
	d.byUser.Store(user, sockets.AdoptDir(handed))
}

// Remove removes them all.
func (d *Dirs) Remove() {
	for _, dir := range d.All() {
		dir.Remove()
	}
}

// forUser makes a directory that only we, or user, can enter, in the first place where
// that is possible: an image without /tmp, or a service that may write to few places,
// has another one.
func forUser(user string) (*sockets.Dir, error) {
	dir, err := makeDir(bases())
	if err != nil || user == "" {
		return dir, err
	}
	id, err := users.Lookup(user)
	if err == nil {
		err = os.Chown(dir.Path, int(id.UID), int(id.GID))
	}
	if err != nil {
		dir.Remove()
		return nil, fmt.Errorf("giving directory of the child's admin endpoint to user %s: %w", user, err)
	}
	return dir, nil
}

// CleanUp removes the directories that brokers left which were killed with all their
// processes. It is done once in the life of a process, before that makes its own.
func CleanUp(logger *zap.Logger) {
	cleanOnce.Do(func() {
		for _, base := range bases() {
			if base == "" {
				continue
			}
			if removed := sockets.RemoveStale(base, parlance.AdminDirPrefix); len(removed) > 0 {
				logger.Info("removed directories that a broker left which was killed", zap.Strings("directories", removed))
			}
		}
	})
}

var cleanOnce sync.Once

// bases are the places for it: what the service manager made for this service, the
// system's for temporary files, the user's own.
func bases() []string {
	service := filepath.SplitList(os.Getenv("RUNTIME_DIRECTORY"))
	return append(service, os.TempDir(), "/tmp", "/run", os.Getenv("XDG_RUNTIME_DIR"), caddy.AppDataDir())
}

// makeDir makes a directory in the first of the places that allows it.
func makeDir(places []string) (*sockets.Dir, error) {
	var failed []error
	for _, base := range places {
		if base == "" {
			continue
		}
		if len(base) > longestBase {
			failed = append(failed, fmt.Errorf("%s: the path is too long for a socket", base))
			continue
		}
		dir, err := sockets.MakeDir(base, parlance.AdminDirPrefix)
		if err == nil {
			return dir, nil
		}
		failed = append(failed, err)
	}
	return nil, fmt.Errorf("making directory for the child's admin endpoint: no place can be written; set TMPDIR to one that can: %w", errors.Join(failed...))
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"errors"
	"fmt"
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

// adminDir makes a directory that only we, or user, can enter, in the first place where
// that is possible: an image without /tmp, or a service that may write to few places,
// has another one.
func adminDir(user string) (*sockets.Dir, error) {
	dir, err := makeDir(adminBases())
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

// cleanUp removes the directories that brokers left which were killed with all their
// processes. It is done once in the life of a process, before that makes its own.
func cleanUp(logger *zap.Logger) {
	cleanOnce.Do(func() {
		for _, base := range adminBases() {
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

// adminBases are the places for it: what the service manager made for this service, the
// system's for temporary files, the user's own.
func adminBases() []string {
	bases := filepath.SplitList(os.Getenv("RUNTIME_DIRECTORY"))
	return append(bases, os.TempDir(), "/tmp", "/run", os.Getenv("XDG_RUNTIME_DIR"), caddy.AppDataDir())
}

// makeDir makes a directory in the first of the bases that allows it.
func makeDir(bases []string) (*sockets.Dir, error) {
	if err := sockets.CheckPrivate(); err != nil {
		return nil, fmt.Errorf("making directory for the child's admin endpoint: %w", err)
	}
	var failed []error
	for _, base := range bases {
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

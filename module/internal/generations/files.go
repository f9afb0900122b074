// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package generations

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/module/internal/statefile"
)

// files are the list on disk: a small file that is written anew with each change, and a
// folder beside it with one file for each configuration, which is written once. The list
// names none that is not there as a whole: a configuration is written before the list that
// names it, and removed after the one that does so no more.
type files struct {
	list    string // its path
	configs string // the folder
	there   map[string]bool
}

// stored is the text of the list. The configurations are in it in a file of version 1.
type stored struct {
	Version     int          `json:"caddy_broker_generations"`
	Last        int          `json:"last"`
	Generations []Generation `json:"generations"`
	Refused     []Refused    `json:"refused,omitempty"`
}

const version = 2

// newFiles is nil for an empty path.
func newFiles(list string) *files {
	if list == "" {
		return nil
	}
	return &files{list: list, configs: strings.TrimSuffix(list, ".json"), there: make(map[string]bool)}
}

func (f *files) name() string {
	if f == nil {
		return ""
	}
	return f.list
}

// config is the path of the configuration with a digest.
func (f *files) config(digest string) string { return filepath.Join(f.configs, digest+".json") }

// read returns what is there.
func (f *files) read() (found stored, err error) {
	text, err := os.ReadFile(f.list)
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &found)
	}
	if err != nil {
		return found, err
	}
	switch found.Version {
	case 1: // its configurations are written anew with the next change
		return found, nil
	case version:
	default:
		return found, fmt.Errorf("it is of version %d, this program reads version %d", found.Version, version)
	}
	for i := range found.Generations {
		g := &found.Generations[i]
		if g.Config, err = os.ReadFile(f.config(g.Digest)); err != nil {
			return found, err
		}
		if !json.Valid(g.Config) {
			return found, fmt.Errorf("%s is no configuration", f.config(g.Digest))
		}
		f.there[g.Digest] = true
	}
	return found, nil
}

// moveAside makes room where something is that cannot be read, and returns where the list is.
func (f *files) moveAside() (list string, err error) {
	suffix := "." + time.Now().UTC().Format("20060102T150405Z")
	clear(f.there)
	err = os.Rename(f.list, f.list+suffix)
	if errConfigs := os.Rename(f.configs, f.configs+suffix); !errors.Is(errConfigs, fs.ErrNotExist) {
		err = errors.Join(err, errConfigs)
	}
	return f.list + suffix, err
}

// write writes what of next is not there yet, and removes what is needed no more.
func (f *files) write(next stored) error {
	if err := os.MkdirAll(f.configs, 0o700); err != nil {
		return err
	}
	needed := make(map[string]bool)
	for i := range next.Generations {
		g := &next.Generations[i]
		needed[g.Digest] = true
		if !f.there[g.Digest] {
			if err := statefile.Replace(f.config(g.Digest), g.Config); err != nil {
				return err
			}
			f.there[g.Digest] = true
		}
		g.Config = nil
	}
	text, err := json.Marshal(next)
	if err == nil {
		err = statefile.Replace(f.list, text)
	}
	if err != nil {
		return err
	}
	f.there = needed
	return f.tidy(needed)
}

// tidy removes the configurations that are not needed, those of a process that was killed
// before it could remove them among them.
func (f *files) tidy(needed map[string]bool) error {
	entries, err := os.ReadDir(f.configs)
	for _, e := range entries {
		if e.IsDir() {
			continue // none of ours
		}
		if digest := strings.TrimSuffix(e.Name(), ".json"); !needed[digest] {
			err = errors.Join(err, os.Remove(filepath.Join(f.configs, e.Name())))
		}
	}
	return err
}

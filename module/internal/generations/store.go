// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package generations

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

// Kept is how many generations, and how many refused configurations, are remembered.
const Kept = 10

// Generation is a configuration that has served.
type Generation struct {
	// Number grows with each one, and is never used again.
	Number int `json:"number"`
	// Since is when it began to serve.
	Since time.Time `json:"since"`
	// By is who, or what, has loaded it.
	By string `json:"by"`
	// File and Adapter are where it came from; empty is not known.
	File    string `json:"file,omitempty"`
	Adapter string `json:"adapter,omitempty"`
	// Digest is that of the configuration.
	Digest string `json:"digest"`
	// Config is the user's configuration, with all its secrets.
	Config json.RawMessage `json:"config,omitempty"`
}

// Refused is a configuration that must not be started by itself again.
type Refused struct {
	Digest string    `json:"digest"`
	At     time.Time `json:"at"`
	Why    string    `json:"why"`
	// RolledBack says that it has served before it was found not to serve well, or before an
	// operator let another one serve again.
	RolledBack bool `json:"rolled_back,omitempty"`
}

// Digest is by what a configuration is known.
func Digest(config []byte) string {
	sum := sha256.Sum256(config)
	return hex.EncodeToString(sum[:8])
}

// again is after how long a list that could not be written is tried again.
const again = time.Second

// Store is the list. The zero value keeps it in memory alone. What changes is on disk when
// Sync returns: nothing else waits for that.
type Store struct {
	mu      lockorder.Mutex[Store]
	list    []Generation  // by mu; the oldest first, the last one serves
	refused []Refused     // by mu; the oldest first
	last    int           // by mu: the last number
	files   *files        // by mu; nil is memory alone
	warn    func(error)   // by mu
	failing bool          // by mu: the last write failed, which was told
	changed bool          // by mu, since it was written last
	retry   *time.Timer   // by mu: calls tryAgain; nil is none
	written chan struct{} // by mu; closed when the goroutine that writes ends; nil is none
}

// Keep goes on with the list in a file, to which each change is written from then on;
// empty is none. What goes wrong with it is told to warn, once until it is over.
func (s *Store) Keep(file string, warn func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.written != nil { // the file is left when nothing is to be written there
		written := s.written
		s.mu.Unlock()
		<-written
		s.mu.Lock()
	}
	if file == s.files.name() {
		return
	}
	s.files, s.warn, s.failing = newFiles(file), warn, false
	if file == "" {
		return
	}
	if len(s.list) > 0 {
		s.change()
		return
	}
	found, err := s.files.read()
	if err != nil {
		aside, errMove := s.files.moveAside()
		err = fmt.Errorf("reading the generations in %s: %w; they are moved to %s, and the list begins anew", file, err, aside)
		warn(errors.Join(err, errMove))
		return
	}
	s.list, s.refused, s.last = found.Generations, found.Refused, found.Last
}

// change makes the list be written soon. It is called with mu held.
func (s *Store) change() {
	if s.files == nil {
		return
	}
	s.changed = true
	if s.written == nil {
		s.written = make(chan struct{})
		go s.write(s.written)
	}
}

// write writes until nothing has changed.
func (s *Store) write(written chan struct{}) {
	defer close(written)
	for {
		files, next, ok := s.next()
		if !ok {
			return
		}
		s.wrote(files.write(next))
	}
}

// next is what is to be written, and where, if anything is.
func (s *Store) next() (to *files, next stored, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.changed {
		s.written = nil
		return nil, next, false
	}
	s.changed = false
	return s.files, stored{version, s.last, slices.Clone(s.list), slices.Clone(s.refused)}, true
}

// wrote tells why the list could not be written, if it is not known yet.
func (s *Store) wrote(err error) {
	s.mu.Lock()
	tell := err != nil && !s.failing
	s.failing = err != nil
	if s.failing && s.retry == nil {
		s.retry = time.AfterFunc(again, s.tryAgain)
	}
	warn := s.warn
	s.mu.Unlock()
	if tell {
		warn(fmt.Errorf("writing the generations: %w; the service goes on, and if this process died now, the last one would be lost", err))
	}
}

// tryAgain writes what could not be written.
func (s *Store) tryAgain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retry = nil
	if s.failing {
		s.change()
	}
}

// Sync returns when all that has changed before it was called is on disk, or cannot be
// written.
func (s *Store) Sync() {
	s.mu.Lock()
	written := s.written
	s.mu.Unlock()
	if written != nil {
		<-written
	}
}

// Served notes that a configuration serves. If it is the one that did before, nothing has
// changed but that it is refused no more.
func (s *Store) Served(g Generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	refused := len(s.refused)
	s.refused = slices.DeleteFunc(s.refused, func(r Refused) bool { return r.Digest == g.Digest })
	n := len(s.list)
	if n > 0 && s.list[n-1].Digest == g.Digest {
		if len(s.refused) != refused {
			s.change()
		}
		return
	}
	s.last++
	g.Number = s.last
	s.list = append(s.list, g)
	s.list = slices.Delete(s.list, 0, max(0, len(s.list)-Kept))
	s.change()
}

// Refuse notes that a configuration does not serve well.
func (s *Store) Refuse(r Refused) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = slices.DeleteFunc(s.refused, func(o Refused) bool {
		r.RolledBack = r.RolledBack || o.Digest == r.Digest && o.RolledBack
		return o.Digest == r.Digest
	})
	s.refused = append(s.refused, r)
	s.refused = slices.Delete(s.refused, 0, max(0, len(s.refused)-Kept))
	s.change()
}

// Instead is the generation that is to start instead of a configuration that was refused,
// and why that was; nil if it was not, or there is no other one.
func (s *Store) Instead(digest string) (*Generation, Refused) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.refused, func(r Refused) bool { return r.Digest == digest })
	if i < 0 {
		return nil, Refused{}
	}
	for _, g := range slices.Backward(s.list) {
		if !slices.ContainsFunc(s.refused, func(r Refused) bool { return r.Digest == g.Digest }) {
			return &g, s.refused[i]
		}
	}
	return nil, Refused{}
}

// RolledBack reports whether a configuration was rolled back, and has not served since.
func (s *Store) RolledBack(digest string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.refused, func(r Refused) bool { return r.Digest == digest && r.RolledBack })
}

// Number is that of the newest generation with a digest; 0 if there is none.
func (s *Store) Number(digest string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range slices.Backward(s.list) {
		if g.Digest == digest {
			return g.Number
		}
	}
	return 0
}

// ErrUnknown says that there is no generation of a number.
var ErrUnknown = errors.New("there is no such generation")

// Back is the generation of a number, and the one that serves; 0 is the newest one before
// that which is another and has not been refused.
func (s *Store) Back(number int) (to, serving Generation, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.list)
	if n == 0 {
		return to, serving, errors.New("no generation is known")
	}
	serving = s.list[n-1]
	if number == 0 {
		for _, g := range slices.Backward(s.list[:n-1]) {
			if g.Digest != serving.Digest && !slices.ContainsFunc(s.refused, func(r Refused) bool { return r.Digest == g.Digest }) {
				return g, serving, nil
			}
		}
		return to, serving, fmt.Errorf("%w before generation %d that has not been refused: give its number", ErrUnknown, serving.Number)
	}
	i := slices.IndexFunc(s.list, func(g Generation) bool { return g.Number == number })
	if i < 0 {
		return to, serving, fmt.Errorf("%w: known are %d to %d", ErrUnknown, s.list[0].Number, serving.Number)
	}
	return s.list[i], serving, nil
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/supervisor"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

const (
	// trialTime bounds a trial: the program loads the configuration without serving it.
	trialTime = time.Minute
	// maxReason bounds what a program says about why it cannot, in bytes.
	maxReason = 4 << 10
)

// TrialArgs are the arguments with which a program is tried.
var TrialArgs = []string{"broker", "upgrade", "--trial"}

// verdict is what a program says that could go on.
type verdict struct {
	Version string `json:"caddy_broker"`
}

// Tried is a program that could take this one's place.
type Tried struct {
	// Version is what it says of itself.
	Version string
	program string
	file    os.FileInfo
}

// Still returns an error unless the file is the one that was tried: between a trial and
// an execution a package, or a build, may put another one there, or write into it.
func (t *Tried) Still() error {
	now, err := os.Stat(t.program)
	if err == nil && (!os.SameFile(now, t.file) || now.Size() != t.file.Size() || !now.ModTime().Equal(t.file.ModTime())) {
		err = errors.New("it was replaced after it was tried: try again")
	}
	if err != nil {
		return fmt.Errorf("executing %s: %w", t.program, err)
	}
	return nil
}

// Try lets program say whether it could take this one's place, or returns the reason why
// it cannot. It is given a state without processes.
func (s *State) Try(ctx context.Context, program string) (*Tried, error) {
	info, err := os.Stat(program)
	if err != nil {
		return nil, fmt.Errorf("trying %s: %w", program, err)
	}
	file, err := s.write()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	ctx, cancel := context.WithTimeout(ctx, trialTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, TrialArgs...)
	cmd.ExtraFiles = []*os.File{file}
	cmd.Env = append(supervisor.CleanEnv(os.Environ()), envTrial+"=3")
	var stdout, stderr ending
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = time.Second
	if err = cmd.Run(); err != nil {
		said := plain.Text(exits.LastLines(stderr.String(), 3), maxReason)
		switch {
		case ctx.Err() != nil:
			err = fmt.Errorf("it has not said within %s that it could take over", trialTime)
		case strings.Contains(said, "unknown command") || strings.Contains(said, "unknown flag"):
			err = fmt.Errorf("it is a Caddy without this plugin, or with one that is older than `caddy broker upgrade`: %s", said)
		case said != "":
			err = fmt.Errorf("it says: %s", said)
		}
		return nil, fmt.Errorf("trying %s: %w", program, err)
	}
	var v verdict
	last := exits.LastLines(stdout.String(), 1)
	if json.Unmarshal([]byte(last), &v) != nil || v.Version == "" {
		return nil, fmt.Errorf("trying %s: it does not say that it could take over; is it a Caddy with this plugin?", program)
	}
	return &Tried{Version: plain.Line(v.Version, maxReason), program: program, file: info}, nil
}

// ending keeps the last 16 KiB, at least, of what is written to it.
type ending struct{ text []byte }

func (e *ending) Write(p []byte) (int, error) {
	const keep = 16 << 10
	e.text = append(e.text, p...)
	if len(e.text) > 4*keep {
		e.text = append(e.text[:0], e.text[len(e.text)-keep:]...)
	}
	return len(p), nil
}

func (e *ending) String() string { return string(e.text) }

// Trial returns the state that this program shall say about whether it could go on
// with, and how it says so.
func Trial() (s *State, pass func() error, err error) {
	file := fileIn(envTrial)
	if file == nil {
		return nil, nil, errors.New("there is nothing to go on with: this is how `caddy broker upgrade` tries a program")
	}
	defer file.Close()
	s, err = read(file)
	if err != nil {
		return nil, nil, err
	}
	return s, func() error { return json.NewEncoder(os.Stdout).Encode(verdict{Version()}) }, nil
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package supervisor

import (
	"errors"
	"fmt"
)

// launchExternal starts a program without sockets: this system passes none. It
// counts as ready when it has been started.
func (s *Supervisor) launchExternal(id int, spec *Spec) (*process, error) {
	if len(spec.Listen) > 0 {
		return nil, fmt.Errorf("listen %s: passing sockets to a program: %w", spec.Listen[0], errors.ErrUnsupported)
	}
	p, err := newProcess(id, spec.Command, spec)
	if err != nil {
		return nil, err
	}
	if err := p.start(s.cfg.Stderr); err != nil {
		return nil, err
	}
	go func() {
		s.put(inReady{id})
		s.put(inExited{id: id, exit: p.wait()})
	}()
	return p, nil
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package supervisor

// launchExternal starts a program without sockets: this system passes none. It
// counts as ready when it has been started.
func (s *Supervisor) launchExternal(id int, spec *Spec) (*process, error) {
	p, err := startProcess(id, spec, s.cfg.Stderr)
	if err != nil {
		return nil, err
	}
	go s.await(p)
	go s.put(inReady{id})
	return p, nil
}

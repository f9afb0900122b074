// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package supervisor

// await returns when the process has ended. This system cannot wait for that
// without giving up the process's id, so what is left of its group is ended here
// and nothing is signalled from here on.
func (p *process) await() {
	_ = p.cmd.Wait() // its state says it all
	p.signal(sigKill)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped = true
}

// groupLives is false: await has ended the group.
func (p *process) groupLives() bool { return false }

// groupLives is true: this system does not tell.
func groupLives(int, int) bool { return true }

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package supervisor

// endWithParent does nothing: this system has no word for it.
func (p *process) endWithParent() {}

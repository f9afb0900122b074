// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import "syscall"

// endWithParent has the kernel tell the process to end when the thread that
// starts it does, which is this process's end as long as that thread is nobody
// else's. A child of our own has its control connection for that.
func (p *process) endWithParent() { p.attr().Pdeathsig = syscall.SIGTERM }

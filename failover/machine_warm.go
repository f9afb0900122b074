// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"slices"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/failover/affinity"
)

// warmUp tells the carrier which members shall have a warm connection: the next
// ones after the one that serves, as far as they are open.
func (x *machine) warmUp() {
	if !x.running || x.warmFor == x.view {
		return
	}
	x.warmFor = x.view
	var list []*Member
	if x.opt.Backup && !x.interrupted {
		list = x.nextOnes(x.opt.BackupPoolSize)
	}
	if !slices.Equal(list, x.warm) {
		x.warm = list
		x.do(actWarm{list})
	}
}

// nextOnes are the first n members in the pool's order that are open and do not
// serve already. Where clients are spread there is no such one; all serve.
func (x *machine) nextOnes(n int) (list []*Member) {
	v := x.view
	serves := v.forced
	if serves < 0 {
		serves = v.current
	}
	spread := v.randomize && v.affinity != address.AffinityPool && v.prio == 0
	w := v.walk(affinity.BucketOf(v.poolKey))
	for len(list) < n {
		i := w.Next(func(i int) bool { return v.flags[i]&flagOpen != 0 })
		if i < 0 {
			break
		}
		if serves < 0 && !spread {
			serves = i // ordered, each client for itself: the first open one
		}
		if i != serves {
			list = append(list, v.members[i])
		}
	}
	return list
}

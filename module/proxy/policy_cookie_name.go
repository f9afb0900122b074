// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/sha256"
	"encoding/hex"
	"sync/atomic"

	"github.com/caddy-broker/caddy-broker/internal/lockorder"
)

// A browser sends the cookies of one host to all sites there, so that pools whose cookies
// have one name would take each other's for forged ones and overwrite them, with every
// request. Where several pools of this process are told the same name, each has one of
// its own, which begins with it.

// cookieName is a name that cookies were told to have, with the pools that were told so.
type cookieName struct {
	pools  map[string]int // how many policies each has; guarded by cookieNames.mu
	shared atomic.Bool    // by several pools
}

// cookieNames has the names that policies use.
type cookieNames struct {
	mu    lockorder.Mutex[cookieNames]
	named map[string]*cookieName
}

var allCookieNames = cookieNames{named: make(map[string]*cookieName)}

// use notes that a policy of a pool uses a name. Each call needs one of leave.
func (n *cookieNames) use(name, pool string) *cookieName {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.named[name]
	if c == nil {
		c = &cookieName{pools: make(map[string]int)}
		n.named[name] = c
	}
	c.pools[pool]++
	c.shared.Store(len(c.pools) > 1)
	return c
}

// leave undoes one use.
func (n *cookieNames) leave(name, pool string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := n.named[name]
	if c.pools[pool]--; c.pools[pool] == 0 {
		delete(c.pools, pool)
	}
	c.shared.Store(len(c.pools) > 1)
	if len(c.pools) == 0 {
		delete(n.named, name)
	}
}

// ownName is the name that no other pool's cookie has. It is the same in all brokers.
func ownName(name, pool string) string {
	sum := sha256.Sum256([]byte(pool))
	return name + "_" + hex.EncodeToString(sum[:4])
}

// enter notes that the policy, whose pool is known now, uses the cookie's name.
func (c *cookieAffinity) enter() {
	pool := c.policy.claim.entry.name
	c.own, c.users = ownName(c.name, pool), allCookieNames.use(c.name, pool)
}

// leave undoes enter.
func (c *cookieAffinity) leave() {
	if c.users != nil {
		allCookieNames.leave(c.name, c.policy.claim.entry.name)
	}
}

// names are the name of the cookie that is set, and one that it may have had before.
func (c *cookieAffinity) names() [2]string {
	if c.users != nil && c.users.shared.Load() {
		return [2]string{c.own, c.name}
	}
	return [2]string{c.name, c.own}
}

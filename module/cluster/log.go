// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// gossipWarnings is the shortest time between two warnings of memberlist that are
// passed on as such: strangers can cause any number of them.
const gossipWarnings = 10 * time.Second

// gossipLog passes on what memberlist logs, and counts what it could not decrypt.
type gossipLog struct {
	n      *Node
	warned atomic.Int64 // when, in nanoseconds
}

// Write takes one line.
func (l *gossipLog) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	if strings.Contains(text, "decrypt") || strings.Contains(text, "Decrypt") || strings.Contains(text, "ncrypt") {
		if l.n.refused.Add(1) == 1 {
			l.n.logger.Warn("message refused that is not encrypted with this network's key", zap.String("reason", text))
		}
		return len(line), nil
	}
	serious := strings.HasPrefix(text, "[ERR]") || strings.HasPrefix(text, "[WARN]")
	now, last := time.Now().UnixNano(), l.warned.Load()
	if serious && now-last >= int64(gossipWarnings) && l.warned.CompareAndSwap(last, now) {
		l.n.logger.Warn("gossip", zap.String("message", text))
	} else {
		l.n.logger.Debug("gossip", zap.String("message", text))
	}
	return len(line), nil
}

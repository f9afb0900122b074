// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package broker

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

var heedOnce sync.Once

// heedSignal upgrades at SIGUSR2. Caddy's own handler has nothing to do at it but to say
// so.
func heedSignal() {
	heedOnce.Do(func() {
		signal.Reset(syscall.SIGUSR2)
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGUSR2)
		go func() {
			for range asked {
				_ = Upgrade(context.Background(), func() {}) // it has said why it returns
			}
		}()
	})
}

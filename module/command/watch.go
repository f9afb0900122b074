// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/broker"
)

// watchEvery is how often a watched file is adapted anew: only so are the files
// that it imports watched as well.
const watchEvery = time.Second

// watchFile loads file whenever what it adapts to changes, as long as the process
// lives. A file that cannot be adapted is told once and watched further: the next
// version may be right.
func watchFile(file, adapter string) {
	logger := func() *zap.Logger { return caddy.Log().Named("watcher").With(zap.String("config_file", file)) }
	last, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return // the start itself fails with this
	}
	logger().Info("watching config file for changes")
	said := ""
	for range time.Tick(watchEvery) {
		config, err := broker.Adapt(file, adapter)
		if err != nil {
			if said != err.Error() {
				said = err.Error()
				logger().Error("adapting changed config; the running one stays", zap.Error(err))
			}
			continue
		}
		said = ""
		if bytes.Equal(config, last) {
			continue
		}
		last = config
		logger().Info("config file changed; reloading")
		if err := caddy.Load(config, false); err != nil {
			logger().Error("loading changed config; the running one stays", zap.Error(err))
		}
	}
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/document"
)

// watchEvery is how often a watched file is adapted anew: only so are the files
// that it imports watched as well.
const watchEvery = time.Second

// watchFile loads file whenever what it adapts to changes, as long as the process
// lives. A file that cannot be adapted is told once and watched further: the next
// version may be right.
func watchFile(file document.Source) {
	logger := func() *zap.Logger { return caddy.Log().Named("watcher").With(zap.String("config_file", file.File)) }
	last, err := broker.Read(file)
	if err != nil {
		return // the start itself fails with this
	}
	logger().Info("watching config file for changes")
	said := ""
	for range time.Tick(watchEvery) {
		config, err := broker.Read(file)
		if err != nil {
			if said != err.Error() {
				said = err.Error()
				broker.Unreadable(err)
				logger().Error("adapting changed config; the running one stays", zap.Error(err))
			}
			continue
		}
		said = ""
		if bytes.Equal(config.JSON(), last.JSON()) {
			continue
		}
		logger().Info("config file changed; reloading")
		if err := broker.Change(context.Background(), document.Request{Whole: config, By: "--watch"}); err != nil {
			logger().Error("loading changed config; the running one stays", zap.Error(err))
			if errors.Is(err, document.ErrFull) {
				continue // it is still to be loaded
			}
		}
		last = config
	}
}

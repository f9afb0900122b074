// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// register adds c to a configuration's registry, which may have it already.
func register(registry *prometheus.Registry, c prometheus.Collector) error {
	err := registry.Register(c)
	if _, twice := errors.AsType[prometheus.AlreadyRegisteredError](err); twice {
		return nil
	}
	return err
}

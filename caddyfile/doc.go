// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package brokerfile teaches the Caddyfile about the broker: the global option
// `broker`, the directive `failover`, and the config adapter `broker`. It only
// turns text into configuration; what the configuration means is the business of
// package module. Every error it returns names file and line.
package brokerfile

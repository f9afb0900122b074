// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package lifecycle calls functions when a configuration starts or stops.
//
// Caddy tells of both by events. This package hands them on without logging more
// than a name; it does not tell a stop of the process from a reload.
package lifecycle

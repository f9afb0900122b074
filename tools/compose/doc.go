// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package compose checks the compose file of examples/container with the parser of Docker
// Compose itself. It has nothing but tests.
package compose

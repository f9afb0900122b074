// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package metrics registers collectors with configurations.
//
// A collector that several modules of a configuration register is there once. What
// a collector says is the business of the room that has it.
package metrics

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package eventhub hands events to those who watch the admin API, and remembers the last
// ones for a watcher that was cut off and comes back.
package eventhub

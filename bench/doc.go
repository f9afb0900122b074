// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Command bench breaks proxies and counts what happens to requests meanwhile:
// Caddy with this plugin, stock Caddy, nginx and HAProxy, one after the other,
// round after round, with the same load and the same faults.
//
//	bench/install.sh                    # nginx, HAProxy and others from Debian's packages
//	PATH="$(bench/newer.sh sid):$PATH"  # newer ones of nginx and HAProxy beside them
//	go run ./bench                      # every scenario, five rounds
//	go run ./bench --quick kill refuse  # two of them, once, with small numbers
//	go run ./bench soak --for 10m       # this plugin alone, random faults
//	go run ./bench plot docs/performance.md docs/images
//
// It prints one table per scenario and writes them as Markdown and JSON. Load is
// open loop: requests come at a constant rate whether or not earlier ones were
// answered, latency counts from when a request was due, and none is sent twice.
// All is on loopback, bounded in number and time, and every process that is
// started is ended by its id, also after an interrupt. It judges nothing: the
// figures to reach stand beside those that were measured. It works on Linux.
package main

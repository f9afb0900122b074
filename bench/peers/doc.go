// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package peers starts the proxies that are compared: Caddy with this plugin,
// stock Caddy, nginx and HAProxy.
//
// Their configurations are the templates in this folder, each with the best
// settings known for the case that is measured, so that anyone can read them and
// object. A proxy that is not installed is reported as absent. Every process is
// ended by its id, with its group. It works on Linux.
package peers

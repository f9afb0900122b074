// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package winservice makes a broker a service of Windows, and starts, stops and removes
// it as one.
//
// Its guarantee: a service is installed only for a program and a file that are there, by
// their absolute paths; starting and stopping return when the service runs or has ended,
// or with the reason why not. What happens inside the service is Caddy's: it hears the
// service manager's orders and tells it when it is ready. On other systems [Open] is an
// error that names what they have instead.
package winservice

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package console is the page by which an operator sees what a broker and its pools do,
// why, and what comes next, and by which it operates them.
//
// All that it shows it asks the admin API for, or the broker in this process, when the
// page is asked for; all that it does it does by way of the admin API. It keeps no state
// of its own. The page is complete without script: a script only puts what is new into
// its place as soon as something happens. Nothing on it comes from elsewhere.
//
// What backends, clients, peers and children say is text of strangers: html/template
// escapes it, and it is cut to a length that a page can show. Another site can neither
// press a button, nor put the page into a frame, nor add script to it.
package console

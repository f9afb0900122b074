// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package logfile holds the log writer broker_file: Caddy's writer file for processes
// that write to one file side by side. The active child, a standby and a child that
// drains have the same log files open. As soon as one of them rolls a file, the others
// go on in the new one, so no line ends in a file that is compressed or removed already.
// An outside logrotate that renames the file is followed in the same way.
//
// Within a process a [Writer] is the only owner of its file; between processes there are
// two advisory locks (flock): the one on the directory is shared by those that write a
// line and exclusive for the one that rolls, the one on the file is held by the process
// that compresses and removes what was rolled before.
package logfile

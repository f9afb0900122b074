// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package browser drives a real browser in tests: Chromium as the system has it, by its
// own protocol over two pipes, without any other library.
//
// It opens pages as a user does, presses what is on them, and tells what the browser
// complains of: errors of scripts, and what a page's own policy forbids.
package browser

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package adopted reaps the dead whom no one else waits for. Process 1, as the first of a
// container is, becomes the parent of every process whose own parent has died, and without
// this they would fill the table of processes.
//
// Its guarantee: what this process has started itself and waits for is left alone. It does
// nothing in any other process than the first, and on other systems than Linux.
package adopted

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package admin is the admin API under /broker/: children, pools, decisions of the
// operator, requests in doubt and events.
//
// Its guarantee: what it answers with success is in effect, and in a supervised
// child the parent has it, so that a replacement of the process does not undo it.
// It keeps no state and decides nothing: it reads requests, asks the rooms that own
// what is asked for, and gives their errors a status.
package admin

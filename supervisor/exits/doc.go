// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package exits says how a process of a child ended: by what, for which reason, what it
// said last, and what it had in progress.
//
// Its guarantee: it is made of what others have seen, and nothing in it is longer than
// people can be shown. It ends nothing and waits for nothing.
package exits

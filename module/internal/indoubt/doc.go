// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package indoubt remembers the last requests that may have been executed without
// an answer.
//
// Its guarantee: what it keeps is bounded in number and in bytes, wherever the
// texts come from. It does not decide what is in doubt, and sends no event itself:
// it only counts what one event is to tell.
package indoubt

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package voice says in one sentence what an event of a child means, and how bad it is.
//
// Its guarantee: the same data give the same sentence, whatever else has happened. To whom
// it is said is its user's business.
package voice

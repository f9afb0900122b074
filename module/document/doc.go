// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package document keeps the user's configuration as Caddy's admin API shows and
// changes it: a JSON document with paths, ids and ETags.
//
// Its guarantee: a [Document] answers a request as Caddy's own endpoint answers it,
// with the same status, text and resulting document, which a comparison with that
// endpoint checks; and of the changes that a [Queue] takes each is made or refused as
// if it had come alone and in its turn, however many of them are loaded at once.
//
// A document is never changed: a change makes another one, which shares what stays.
// What loading a document means is the business of the queue's [Effects].
package document

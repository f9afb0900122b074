// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package report has what a pool and those around it tell each other, as values: how
// an attempt ended, what a ping found, why a request got no member, what status shows
// and what the next process starts from.
//
// Its guarantee: nothing here changes by itself, so every value may be kept and
// passed on. It decides nothing.
package report

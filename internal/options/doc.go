// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package options holds what all tables of options share: one row per option says
// its name, kind, default, what is allowed and what it does, and reaches the field
// that holds it. Parsers, error texts and the tables in docs are made from the rows.
//
// To add an option, add its field, a row, and what the option does. The package
// knows no configuration of its own and nothing of Caddy.
package options

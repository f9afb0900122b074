// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import "github.com/caddy-broker/caddy-broker/internal/plain"

const (
	// maxCell bounds one text in a table, in bytes.
	maxCell = 500
	// maxError bounds the error that a broker answers with, in bytes.
	maxError = 16 << 10
	// maxBody bounds an answer, in bytes.
	maxBody = 64 << 20
)

// cell is a text of children or backends as it stands in a table: it cannot write
// anywhere else on the terminal.
func cell(text string) string { return plain.Line(text, maxCell) }

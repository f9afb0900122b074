// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package plot draws the figures of a page of measurements as SVG pictures.
//
// It reads the tables that the comparison writes in Markdown, so that the pictures say
// what the tables beside them say: it knows no figure itself, and a table or column that
// is missing is an error. Bars begin at zero, and each has its value beside it.
package plot

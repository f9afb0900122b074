// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package report turns the measurements of several rounds into tables: medians
// with their spread, and ratios to the best of the others.
//
// It changes no figure: a round that failed is shown as failed, one value is
// shown as one value, and a ratio to nothing is not made up.
package report

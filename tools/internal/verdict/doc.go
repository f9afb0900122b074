// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package verdict compares what a suite of tests says of several ways to serve
// with what it says of stock Caddy.
//
// A case that fails in a way and not in stock is a difference. It is documented
// if an entry of a list names it with its reason and with the text of its
// failure; any other is a fault. A suite that is not steady by itself would raise
// false alarms, so each candidate is run again alone, in stock too: what fails
// there now and then is no difference. The package does not run anything itself.
package verdict

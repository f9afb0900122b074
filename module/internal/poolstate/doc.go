// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package poolstate is what pools have learnt, as a value: the process that serves
// reports it, the parent keeps it, and the next process that serves starts from it.
//
// Its guarantee: whatever changes in a configuration, a decision of the operator
// goes on in the one pool that it was about or is named as lost, and none ever goes
// on in another pool. The order of pools is of no account. It holds no pool and
// does nothing by itself.
package poolstate

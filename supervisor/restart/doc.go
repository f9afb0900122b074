// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package restart says how long after a death the next process is started.
//
// Its guarantee: the same deaths and the same random number give the same delay. It counts
// nothing and waits for nothing.
package restart

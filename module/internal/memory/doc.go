// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package memory gives each process of the broker its part of the machine's memory, and
// sets the garbage collector by it.
//
// The parent divides ([Divide]) what the container or the machine has by the processes
// that can exist at once, and tells each what it may have ([Policy]). The process looks
// each second at what is alive in its heap and sets how much garbage may gather
// ([Collector]): much where there is room, since collecting takes processor time, and
// little near the limit.
//
// Its guarantee: what the user has set by GOGC or GOMEMLIMIT stays as it is. The limits of
// all processes together are no more than there is, unless what is alive in one is more
// than its part: no setting can make that smaller, and collecting all the time would only
// slow its users down.
package memory

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package proxy is the selection policy failover of reverse_proxy with the
// transport wrapper that it puts in place, and the pools of this process.
//
// Its guarantee: a request that may have been executed is never sent again without
// proof that this is safe, and nothing that a backend says makes a request go where
// the operator did not allow it. Pools outlive configurations: an unchanged one
// does not notice a reload. Which member is tried next, and when, is decided by
// package failover; what is here carries that out inside Caddy.
//
// Other packages reach the pools of this process through the functions here: [List]
// and [Doubts] for the operator, [Hold], [Start], [Kept] and [Interrupt] for the life
// of a supervised process.
package proxy

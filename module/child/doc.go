// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package child is the supervised process: it loads the configuration that its
// parent hands over, with listeners whose sockets the parent holds, and does what
// it is told until it ends.
//
// Its guarantee: a process accepts nothing before it is activated, and leaves
// without cutting a request that may still be answered in time; those that it cuts
// off are reported before. It proves that it lives with requests of its own. It
// supervises nothing: when to replace it is the parent's decision.
//
// [Supervised], [AwaitActive], [Flush] and [Leaving] are for code that also runs
// in processes without a parent, where they do nothing.
package child

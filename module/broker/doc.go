// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package broker is the parent: the app that supervises children and keeps what
// has to outlive their processes.
//
// Its guarantee: the newest configuration that started decides what runs; a child
// that it does not change is not touched, and a configuration that fails leaves
// everything as it was. What a process learnt is handed to the next one.
// How a process is started, watched and replaced is the business of package
// supervisor; what happens inside of it that of package child.
package broker

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package lockorder gives each mutex of the plugin a class, and says in which order
// classes may be taken.
//
// The class is a type, in most cases the one that has the mutex as a field:
//
//	type Pool struct {
//		mu lockorder.Mutex[Pool]
//	}
//
// In an ordinary build Mutex and RWMutex are those of package sync, by another
// name. With the build tag lockorder, which tests use, every lock is compared with
// those that its goroutine holds; the process ends, with the stacks of both, at the
// first pair that is not in the list of this package. The list has no circle, so
// two goroutines that follow it cannot wait for each other. The package does not
// look at channels, at sync.Once, or at locks of other packages.
package lockorder

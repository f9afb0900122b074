// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package environment decides which of this process's environment variables a child gets.
//
// Its guarantee: a child has none of them but what programs need, what its configuration
// uses, and what it is given by name. It starts nothing.
package environment

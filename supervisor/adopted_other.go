// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package supervisor

import "context"

// ReapAdopted returns at once: on this system the broker is not process 1.
func ReapAdopted(context.Context) {}

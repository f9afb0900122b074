// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

// warmUp tells the carrier which members shall have a warm connection.
func (x *machine) warmUp() {}

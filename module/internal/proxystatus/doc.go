// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package proxystatus writes the header fields with which an error tells its
// client what happened: Proxy-Status (RFC 9209) and Retry-After.
//
// Its guarantee: whatever the name and the details hold, the field can be parsed.
// It does not decide what an error is; package fault does that.
package proxystatus

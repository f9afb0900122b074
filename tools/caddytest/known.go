// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/caddy-broker/caddy-broker/tools/internal/verdict"

var withPolicy = []string{"policy", "supervised+policy"}

const (
	fixedAddress = "the policy keeps the state of each backend, so an address that depends on the request is refused at load"
	ownRequests  = "the policy asks a backend for what it announces, and pings it: the test takes any request for its own"
)

// known are the differences to stock that docs/compatibility.md names.
var known = []verdict.Known{
	{Ways: withPolicy, Case: "TestDialWithPlaceholderUnix", Text: "its address may not depend on the request", Reason: fixedAddress},
	{Ways: withPolicy, Case: "TestReverseProxyWithPlaceholderDialAddress", Text: "its address may not depend on the request", Reason: fixedAddress},
	{Ways: withPolicy, Case: "TestReverseProxyWithPlaceholderTCPDialAddress", Text: "its address may not depend on the request", Reason: fixedAddress},
	{Ways: withPolicy, Case: "TestH2ToH2CStream", Text: "r.Host doesn't match", Reason: ownRequests},
	{Ways: withPolicy, Case: "TestH2ToH1ChunkedResponse", Text: "r.Host doesn't match", Reason: ownRequests},
	{Ways: withPolicy, Case: "TestReverseProxyUnlimitedRequestBuffersRespectMaxSize", Text: "upstream received 1 complete request bodies", Reason: ownRequests},
	{Ways: withPolicy, Case: "TestReverseProxyRequestBodyTimeout/*", Text: "was not interrupted: read 0 bytes, error <nil>", Reason: ownRequests},
}

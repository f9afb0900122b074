// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"slices"
	"time"

	"github.com/caddy-broker/caddy-broker/bench/report"
	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// scenarios are all there are, in the order in which they are gone through.
var scenarios = []*scenario{
	killScenario, reloadScenario,
	refuseScenario, hangScenario, dropScenario, closeScenario, resetScenario, cutScenario,
	outageScenario, failbackScenario, startingScenario,
	costScenario(&cost{name: "cost-h1", title: "HTTP/1.1"}),
	costScenario(&cost{name: "cost-tls", title: "HTTP/1.1 over TLS", tls: true}),
	costScenario(&cost{name: "cost-h2", title: "HTTP/2", tls: true, http2: true}),
	costScenario(&cost{name: "cost-dial", title: "HTTP/1.1, many connections dialled", dialled: true}),
	costScenario(&cost{name: "default-h1", title: "HTTP/1.1, every setting its default", defaults: true}),
	costScenario(&cost{name: "default-tls", title: "HTTP/1.1 over TLS, every setting its default", tls: true, defaults: true}),
	costScenario(&cost{name: "default-h2", title: "HTTP/2, every setting its default", tls: true, http2: true, defaults: true}),
	memoryScenario, selectScenario,
}

// mix is a slow request and nine quick ones. The slow one comes first: as the last
// of a load it would be the longest gap itself.
func mix(method string, slow string) []harness.Request {
	request := harness.Request{Method: method}
	if method == "POST" {
		request.Body = make([]byte, 200)
	}
	requests := slices.Repeat([]harness.Request{request}, 10)
	requests[0].Path = "/?delay=" + slow
	return requests
}

// amidst is how many requests are sent before something is broken, a second after
// the beginning: the last of them is the slow one of a mix, which is in progress then.
func amidst(rate int) int { return rate + 1 }

// fates are columns for what became of requests; the prefix names which.
func fates(prefix string, results harness.Results) []report.Value {
	n := func(fates ...harness.Fate) int {
		return len(results.Where(func(r *harness.Result) bool { return slices.Contains(fates, r.Fate) }))
	}
	return []report.Value{
		count(prefix+"refused", n(harness.Refused)),
		count(prefix+"reset or cut", n(harness.Reset, harness.EOF, harness.Broken)),
		count(prefix+"error answer", n(harness.Status)),
		count(prefix+"timed out", n(harness.Timeout)),
	}
}

// dueBetween are the requests that were due in this time after the moment.
func dueBetween(results harness.Results, moment time.Time, from, to time.Duration) harness.Results {
	return results.Where(func(r *harness.Result) bool {
		after := r.Due.Sub(moment)
		return after >= from && after < to
	})
}

// always is longer than any scenario.
const always = time.Hour

func percentile(column string, results harness.Results, p float64) report.Value {
	return took(column, results.Percentile(p))
}

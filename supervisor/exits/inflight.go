// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package exits

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/supervisor/account"
)

// InFlight is what a process had in progress when it died.
type InFlight struct {
	// Requests are all of them, and Unsafe those that may change something.
	Requests int `json:"requests"`
	Unsafe   int `json:"unsafe"`
	// Written are those of which something may have been written to a backend.
	Written int `json:"written"`
	// InDoubt are those that may have changed something.
	InDoubt int `json:"in_doubt"`
	// Unlisted are those of which nothing is known but their number, because there were
	// too many; it is not known either whether the UnlistedUnsafe of them were executed.
	Unlisted       int `json:"unlisted,omitempty"`
	UnlistedUnsafe int `json:"unlisted_unsafe,omitempty"`
	// Torn are those that had only just begun: nothing of them was written.
	Torn int `json:"torn,omitempty"`
	// Unknown is why the rest of this is not known; empty where it is.
	Unknown string `json:"unknown,omitempty"`
	// Routes are the requests by where they were to go, the most first.
	Routes []Route `json:"routes,omitempty"`
}

// Route is some of the requests in progress.
type Route struct {
	Method string `json:"method"`
	Host   string `json:"host"`
	// Path ends in /… where it stands for several.
	Path     string `json:"path"`
	Pool     string `json:"pool,omitempty"`
	Requests int    `json:"requests"`
	Written  int    `json:"written"`
	InDoubt  int    `json:"in_doubt"`
	// Oldest is how long the oldest of them had been in progress, in seconds.
	Oldest float64 `json:"oldest_seconds"`
}

// maxRoutes bounds the routes of an exit: the last one stands for the rest.
const maxRoutes = 20

// Summary is a as users see it; nil if there was nothing. why says why it is not known.
func Summary(a *account.Account, why error, died time.Time) *InFlight {
	if why != nil && a == nil {
		return &InFlight{Unknown: why.Error()}
	}
	if a == nil || len(a.Requests)+a.Torn+a.More == 0 {
		return nil
	}
	f := &InFlight{Requests: len(a.Requests) + a.Torn + a.More, Unlisted: a.More, UnlistedUnsafe: a.MoreUnsafe, Unsafe: a.MoreUnsafe, Torn: a.Torn}
	if why != nil {
		f.Unknown = why.Error()
	}
	for i := range a.Requests {
		r := &a.Requests[i]
		f.Unsafe += one(r.Unsafe)
		f.Written += one(r.Written)
		f.InDoubt += one(r.InDoubt())
	}
	f.Routes = routes(a.Requests, died, func(path string) string { return path })
	if len(f.Routes) > maxRoutes {
		f.Routes = routes(a.Requests, died, firstPart)
	}
	if len(f.Routes) > maxRoutes {
		rest := Route{Path: "…"}
		for _, r := range f.Routes[maxRoutes-1:] {
			rest.Requests += r.Requests
			rest.Written += r.Written
			rest.InDoubt += r.InDoubt
			rest.Oldest = max(rest.Oldest, r.Oldest)
		}
		f.Routes = append(f.Routes[:maxRoutes-1], rest)
	}
	return f
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// firstPart is the first part of a path, and a sign that there is more.
func firstPart(path string) string {
	part, _, more := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if more {
		part += "/…"
	}
	return "/" + part
}

// routes gathers requests by route.
func routes(requests []account.Request, died time.Time, of func(path string) string) []Route {
	type key struct{ method, host, path, pool string }
	at := make(map[key]int)
	var list []Route
	for i := range requests {
		r := &requests[i]
		k := key{r.Method, r.Host, of(r.Path), r.Pool}
		n, ok := at[k]
		if !ok {
			n = len(list)
			at[k] = n
			list = append(list, Route{Method: k.method, Host: k.host, Path: k.path, Pool: k.pool})
		}
		list[n].Requests++
		list[n].Written += one(r.Written)
		list[n].InDoubt += one(r.InDoubt())
		list[n].Oldest = max(list[n].Oldest, died.Sub(r.Begun).Seconds())
	}
	slices.SortStableFunc(list, func(a, b Route) int {
		return cmp.Or(cmp.Compare(b.InDoubt, a.InDoubt), cmp.Compare(b.Requests, a.Requests),
			strings.Compare(a.Host+a.Path, b.Host+b.Path), strings.Compare(a.Method, b.Method))
	})
	return list
}

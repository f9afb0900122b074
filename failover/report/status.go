// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"slices"
	"time"
)

// PoolStatus is what status says of a pool.
type PoolStatus struct {
	Name string `json:"name"`
	// State is "connecting" until a backend has answered for the first time,
	// "connected", "reconnecting" while none serves, "exhausted", or "all drained".
	State   string         `json:"state"`
	Options map[string]any `json:"options"`
	// FailedPasses is how many passes in a row found no backend.
	FailedPasses int `json:"failed_passes"`
	// NextAttempt is when the next pass starts; nil while backends serve.
	NextAttempt *time.Time `json:"next_attempt"`
	Waiting     int        `json:"waiting"`
	// CountedSince is when the pool of this process was made: Failovers, Total and Failed
	// count from then on, and anew in the next process.
	CountedSince time.Time `json:"counted_since"`
	// Failovers counts the requests that went on to another backend.
	Failovers uint64           `json:"failovers"`
	Upstreams []UpstreamStatus `json:"upstreams"`
}

// AddRemoved adds the requests that are still in progress on a former member: as those of
// its address where that is a member again.
func (s *PoolStatus) AddRemoved(uri string, since time.Time, requests int64) {
	i := slices.IndexFunc(s.Upstreams, func(u UpstreamStatus) bool { return u.URI == uri })
	switch {
	case requests == 0:
	case i >= 0:
		s.Upstreams[i].Requests += requests
	default:
		s.Upstreams = append(s.Upstreams, UpstreamStatus{URI: uri, State: "removed", Since: since, Requests: requests})
	}
}

// UpstreamStatus is what status says of a member.
type UpstreamStatus struct {
	URI string `json:"uri"`
	// State is "up", "suspect", "trial" (answers pings again, and has not
	// answered a request yet), "down" or "drained"; "removed" when it is no member
	// any more and still has requests in progress.
	State    string `json:"state"`
	Priority bool   `json:"priority"`
	// Pushed says that the address was added at run time.
	Pushed bool `json:"pushed"`
	// Manual says that a manual failover sends all clients here, until Failback
	// or until the member breaks.
	Manual bool      `json:"manual"`
	Since  time.Time `json:"since"`
	// Drained is by what decision it is drained; nil when it is not, or when that is
	// not known here.
	Drained *Drained `json:"drained,omitempty"`
	// LastError is the last failure since it was up; "" while it is up.
	LastError string `json:"last_error"`
	// LastErrorAt is when that was.
	LastErrorAt *time.Time `json:"last_error_at,omitempty"`
	// NextProbe is when it is pinged next; nil when that is not planned.
	NextProbe *time.Time `json:"next_probe"`
	// Requests is how many are in progress.
	Requests int64 `json:"requests"`
	// Total counts the attempts to send a request here, Failed those that failed because
	// of the backend: no connection, lost, reset, or hung.
	Total  uint64 `json:"total"`
	Failed uint64 `json:"failed"`
	// Backup is the state of its warm connection: "", "warm", "connecting", "refused".
	Backup string `json:"backup"`
}

// Drained is the operator's decision that a member gets no new requests.
type Drained struct {
	Since time.Time `json:"since"`
	By    string    `json:"by"`
}

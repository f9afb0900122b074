// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package console

import "fmt"

// says are always the same sentences.
func says(sentences ...string) func(*snapshot, target) []string {
	return func(*snapshot, target) []string { return sentences }
}

// inProgress is what is under way at the backends of the pools, in words.
func inProgress(s *snapshot) string {
	n, waiting := int64(0), 0
	for _, p := range s.Pools {
		waiting += p.Waiting
		for _, u := range p.Upstreams {
			n += u.Requests
		}
	}
	text := count(n, "request is", "requests are") + " in progress at backends"
	if waiting > 0 {
		text += fmt.Sprintf(" and %d more wait for one", waiting)
	}
	return text
}

func cutsOfStop(s *snapshot, t target) []string {
	return []string{
		"Nothing serves " + t.Child + " from then on, until it is started again: its clients get errors or wait.",
		"Requests in progress finish. What only waits to receive is cut at once: WebSockets, event streams, and requests that wait for a backend.",
		"Now " + inProgress(s) + ".",
		"While it stops, the stop can be turned into force.",
	}
}

func cutsOfForce(s *snapshot, t target) []string {
	return []string{
		"Everything of " + t.Child + " that is in progress is cut within a second. What may have been executed without an answer is in doubt afterwards.",
		"Now " + inProgress(s) + ".",
		"Nothing serves it from then on, until it is started again.",
	}
}

func cutsOfReplacement(s *snapshot, t target) []string {
	return []string{
		"No request is lost: the process that serves " + t.Child + " now finishes what it has, and new requests go to the other one.",
		"What the old process still has at the end of drain_timeout is cut: mostly WebSockets and event streams. HTTP/3 clients connect anew.",
		"Now " + inProgress(s) + ".",
	}
}

func cutsOfReload(s *snapshot, t target) []string {
	return append([]string{"If the file has a mistake nothing changes, and this page says why."}, cutsOfReplacement(s, t)...)
}

func cutsOfDrain(s *snapshot, t target) []string {
	var running, others int64
	for _, p := range s.Pools {
		has, serving := false, int64(0)
		for _, u := range p.Upstreams {
			switch {
			case u.URI == t.URI:
				has = true
				running += u.Requests
			case u.State == "up" || u.State == "trial":
				serving++
			}
		}
		if has && serving == 0 {
			others++
		}
	}
	text := []string{
		"Nothing is cut: " + count(running, "request that is in progress there finishes", "requests that are in progress there finish") + ".",
		"It gets no new requests, in every pool that has it, over reloads and restarts, until it is resumed.",
	}
	if others > 0 {
		text = append(text, "No other backend is up in "+count(others, "pool that has it: its requests wait or get errors", "pools that have it: their requests wait or get errors")+".")
	}
	return text
}

// count is a number with the word for it.
func count[N int | int64 | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

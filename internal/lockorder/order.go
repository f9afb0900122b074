// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package lockorder

// Order lists chains of classes. While one is held, those further right in one of
// its chains may be taken, and those that these lead to in other chains; nothing
// else may. ARCHITECTURE.md has the same list, with the reasons.
var Order = [][]string{
	{"broker.turnLock", "broker.hostState"},
	{"broker.turnLock", "broker.eventPump"},
	{"broker.turnLock", "broker.parentState"},
	{"broker.turnLock", "broker.poolKeeper"},
	{"broker.turnLock", "generations.Store"},
	{"broker.turnLock", "indoubt.Ledger"},
	{"child.listener", "child.childRuntime"},
	{"proxy.poolRegistry", "failover.Pool", "affinity.movesLock"},
	{"proxy.poolRegistry", "reach.backendTable", "reach.Backend"},
	{"proxy.poolRegistry", "proxy.dynamicTable"},
	{"reach.warmSet", "reach.backendTable"},
	{"proxy.responseBody", "failover.Pool"},
	{"proxy.responseBody", "reach.Backend"},
	{"proxy.responseBody", "reach.Conn"},
	{"logfile.Writer", "logfile.rolls"},
	{"proxy.readingLock", "proxy.requestBody", "proxy.budget"},
}

// follows reports whether a lock of class next may be taken while one of class held
// is held.
func follows(order [][]string, held, next string) bool {
	reached, queue := map[string]bool{}, []string{held}
	for len(queue) > 0 {
		class := queue[0]
		queue = queue[1:]
		for _, chain := range order {
			for i := range len(chain) - 1 {
				after := chain[i+1]
				if chain[i] != class || reached[after] {
					continue
				}
				reached[after] = true
				queue = append(queue, after)
			}
		}
	}
	return reached[next]
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/report"
	"github.com/caddy-broker/caddy-broker/module/internal/proxytest"
)

// TestManualFailoverIsShown in the table of pools.
func TestManualFailoverIsShown(t *testing.T) {
	pool := proxytest.NewPool(t, "http://10.0.0.1:80", "http://10.0.0.2:80")
	pool.Start()
	check := func(manual bool) {
		t.Helper()
		s := pool.Status()
		var table strings.Builder
		if err := drawPools(&table, []report.PoolStatus{s}, "", time.Now()); err != nil {
			t.Fatal(err)
		}
		_, below, found := strings.Cut(table.String(), "\nhttp://10.0.0.2:80 ")
		if shown := strings.Contains(below, "\n  manual failover"); !found || shown != manual || strings.Count(table.String(), "manual") > 1 {
			t.Errorf("manual failover %v; the table is\n%s", manual, &table)
		}
	}
	check(false)
	to := pool.Members()[1].URI
	if err := pool.Failover(&to); err != nil {
		t.Fatal(err)
	}
	check(true)
	if err := pool.Failback(); err != nil {
		t.Fatal(err)
	}
	check(false)
}

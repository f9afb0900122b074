// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/caddy-broker/caddy-broker/failover/report"
)

// TestSnapshotsOfOtherVersions restores states as other versions wrote them, with
// fields that this one does not know, and without those that came later. Every
// file has the same to say: a is down, d was added. Drains stood here once; they
// belong to addresses now, and the pool hears of them from elsewhere.
func TestSnapshotsOfOtherVersions(t *testing.T) {
	files, err := filepath.Glob("testdata/snapshots/*.json")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d snapshots, error %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var s report.Snapshot
			if err := json.Unmarshal(text, &s); err != nil {
				t.Fatal(err)
			}
			inBubble(t, 3, nil, func(b *stage) {
				b.downAll("a")
				if err := b.p.Restore(s); err != nil {
					t.Fatal(err)
				}
				for host, want := range map[string]string{"a": "down", "b": "up", "c": "up", "d": "up", "gone": "unknown"} {
					if got := b.state(host); got != want {
						t.Errorf("%s is %s, want %s", host, got, want)
					}
				}
				b.p.Start()
				synctest.Wait()
				if m, err := b.send(&Request{Safe: true}); err != nil || m.URI.Host == "a" {
					t.Errorf("a request went to %v, error %v", m, err)
				}
				again := b.p.Snapshot()
				if len(again.Down) != 1 || len(again.Added) != 1 || !again.Reached {
					t.Errorf("kept again: %+v", again)
				}
			})
		})
	}
}

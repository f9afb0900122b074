// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package caddybroker_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const prometheusExample = "examples/prometheus"

// TestAlertRules: Prometheus's own tool takes the example, and each alert fires when it
// should, and not before.
func TestAlertRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skipf("promtool is missing (bench/install.sh installs it): %v", err)
	}
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"test", "rules", "alerts_test.yml", "alerts_days_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = prometheusExample
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestEveryAlertHasATest: in which it fires, and one in which it does not.
func TestEveryAlertHasATest(t *testing.T) {
	tests := readExample(t, "alerts_test.yml") + readExample(t, "alerts_days_test.yml")
	alerts := regexp.MustCompile(`(?m)^ *- alert: (\w+)$`).FindAllStringSubmatch(readExample(t, "alerts.yml"), -1)
	if len(alerts) < 9 {
		t.Fatalf("found are %v", alerts)
	}
	for _, alert := range alerts {
		for what, pattern := range map[string]string{"fires": `(?s)alertname: ` + alert[1] + `\s+eval_time: \w+\s+exp_alerts:\s+- exp_labels`, "does not": `alertname: ` + alert[1] + `, eval_time: \w+, exp_alerts: \[\]`} {
			if !regexp.MustCompile(pattern).MatchString(tests) {
				t.Errorf("there is no test in which %s %s", alert[1], what)
			}
		}
	}
}

func readExample(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(prometheusExample, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// queried matches a metric in a query, and what follows in braces.
var queried = regexp.MustCompile(`\b(caddy_\w+)(?:\{([^}]*)\})?`)

// grouped matches the labels by which a query groups or joins, and label those that it
// selects by.
var (
	grouped = regexp.MustCompile(`\b(?:by|on|ignoring) \(([^)]*)\)`)
	label   = regexp.MustCompile(`(\w+)(?:=~|!~|!=|=)`)
)

// added are the labels that Prometheus adds to all metrics, and le of histograms.
var added = []string{"job", "instance", "le"}

// TestQueriesAskForWhatThereIs: rules and dashboard have no metric, and no label of one,
// that the code does not have.
func TestQueriesAskForWhatThereIs(t *testing.T) {
	metrics := readSource(t).metrics()
	check := func(where, query string) {
		t.Helper()
		labels := slices.Clone(added)
		found := queried.FindAllStringSubmatch(query, -1)
		for _, q := range found {
			name := q[1]
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				name = strings.TrimSuffix(name, part)
			}
			i := slices.IndexFunc(metrics, func(m metric) bool { return m.name == name })
			if i < 0 {
				t.Errorf("%s: %s is no metric of ours: %s", where, q[1], query)
				continue
			}
			labels = append(labels, metrics[i].labels...)
			for _, l := range label.FindAllStringSubmatch(q[2], -1) {
				if !slices.Contains(metrics[i].labels, l[1]) && !slices.Contains(added, l[1]) {
					t.Errorf("%s: %s has no label %s: %s", where, q[1], l[1], query)
				}
			}
		}
		for _, g := range grouped.FindAllStringSubmatch(query, -1) {
			for l := range strings.SplitSeq(g[1], ",") {
				if l = strings.TrimSpace(l); !slices.Contains(labels, l) {
					t.Errorf("%s: no metric has a label %s: %s", where, l, query)
				}
			}
		}
		if len(found) == 0 && !strings.Contains(query, "up{job=") {
			t.Errorf("%s asks for no metric of ours: %s", where, query)
		}
	}
	rules := regexp.MustCompile(`(?s)- alert: (\w+)\n +expr: (.*?)\n +(?:for|labels):`).FindAllStringSubmatch(readExample(t, "alerts.yml"), -1)
	if n := strings.Count(readExample(t, "alerts.yml"), "- alert: "); len(rules) != n {
		t.Fatalf("%d of %d rules were found", len(rules), n)
	}
	for _, r := range rules {
		check("alert "+r[1], r[2])
	}
	for _, series := range regexp.MustCompile(`- series: (caddy_.*)`).FindAllStringSubmatch(readExample(t, "alerts_test.yml")+readExample(t, "alerts_days_test.yml"), -1) {
		check("test of alerts", series[1])
	}

	var dashboard struct {
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Type, Definition string }
		}
	}
	if err := json.Unmarshal([]byte(readExample(t, "dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			check("panel "+p.Title, target.Expr)
		}
	}
	for _, v := range dashboard.Templating.List {
		if v.Type == "query" {
			check("a variable", v.Definition)
		}
	}
}

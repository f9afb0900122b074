// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package verdict

import (
	"strings"
	"testing"
)

func TestCompare(t *testing.T) {
	stock := Results{"steady": {Passed: true}, "unsteady": {Passed: true}, "broken": {}, "known/one": {Passed: true}, "left out": {Passed: true}}
	here := Results{
		"steady":    {Text: "wrong answer"},
		"unsteady":  {Text: "wrong answer"},
		"broken":    {Text: "wrong answer"},
		"known/one": {Text: "a ping came first"},
	}
	suite := Suite{
		Known: []Known{
			{Ways: []string{"policy"}, Case: "known/*", Text: "a ping", Reason: "pings"},
			{Ways: []string{"policy"}, Case: "steady", Text: "a ping", Reason: "pings"},
			{Ways: []string{"supervised"}, Case: "left out", Reason: "another way"},
		},
		Again: func(way, name string) (failed, runs int, err error) {
			if way == "" && name != "unsteady" {
				return 0, 10, nil
			}
			return 3, 10, nil
		},
	}
	found, err := suite.Compare("policy", stock, here)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"steady": true, "left out": true, "unsteady": false, "known/one": false}
	for _, d := range found {
		fault, ok := want[d.Case]
		if !ok || fault != d.Fault() {
			t.Errorf("%s: fault %v, expected among the differences: %v", d.Case, d.Fault(), ok)
		}
		delete(want, d.Case)
	}
	if len(want) > 0 {
		t.Errorf("not found: %v", want)
	}
	var out strings.Builder
	if faults := Print(&out, found); faults != 2 {
		t.Errorf("%d faults, want 2:\n%s", faults, &out)
	}
	if !strings.Contains(out.String(), "documented: pings") {
		t.Errorf("the table does not show the reason:\n%s", &out)
	}
}

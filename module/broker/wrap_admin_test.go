// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"reflect"
	"testing"
)

func TestBrowsable(t *testing.T) {
	t.Parallel()
	open := func(port string) []string {
		return []string{"localhost:" + port, "[::1]:" + port, "127.0.0.1:" + port, ""}
	}
	for name, c := range map[string]struct {
		admin  any
		listen string
		want   any
	}{
		"the default":          {nil, "localhost:2019", object{"origins": open("2019")}},
		"another port":         {object{"listen": "127.0.0.1:1"}, "127.0.0.1:1", object{"listen": "127.0.0.1:1", "origins": open("1")}},
		"IPv6":                 {object{"listen": "[::1]:1"}, "[::1]:1", object{"listen": "[::1]:1", "origins": open("1")}},
		"all addresses":        {object{"listen": ":2019"}, ":2019", object{"listen": ":2019"}},
		"a public address":     {object{"listen": "192.0.2.1:2019"}, "192.0.2.1:2019", object{"listen": "192.0.2.1:2019"}},
		"a unix socket":        {object{"listen": "unix//run/a"}, "unix//run/a", object{"listen": "unix//run/a"}},
		"origins of the user":  {object{"origins": []any{"a"}}, "localhost:2019", object{"origins": []any{"a"}}},
		"in capitals":          {object{"Origins": []any{"a"}}, "localhost:2019", object{"Origins": []any{"a"}}},
		"origins are enforced": {object{"enforce_origin": true}, "localhost:2019", object{"enforce_origin": true}},
		"no endpoint":          {object{"disabled": true}, "", object{"disabled": true}},
		"nonsense":             {"x", "localhost:2019", "x"},
	} {
		if got := browsable(c.admin, c.listen); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

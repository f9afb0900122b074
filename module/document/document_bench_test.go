// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package document

import (
	"fmt"
	"strings"
	"testing"
)

// fiveThousandRoutes is a large configuration; every route has an id.
func fiveThousandRoutes(b *testing.B) *Document {
	b.Helper()
	var routes []string
	for i := range 5000 {
		routes = append(routes, fmt.Sprintf(`{"@id":"r%d","match":[{"host":["h%d.example.com"]}],"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"10.0.0.1:%d"}]}]}`, i, i, i))
	}
	d, err := Parse([]byte(`{"apps":{"http":{"servers":{"s":{"listen":[":80"],"routes":[` + strings.Join(routes, ",") + `]}}}}}`))
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// BenchmarkGetByID is what a GET of /id/r4000 costs in a configuration of 5,000 routes.
func BenchmarkGetByID(b *testing.B) {
	d := fiveThousandRoutes(b)
	for b.Loop() {
		path, ok := d.Path("r4000")
		if !ok {
			b.Fatal("the id is not there")
		}
		if _, _, err := d.Get(path); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkChange is what a PATCH there costs, without loading the result.
func BenchmarkChange(b *testing.B) {
	d := fiveThousandRoutes(b)
	path, _ := d.Path("r4000")
	change := &Change{Method: "PATCH", Path: path + "/handle/0/upstreams/0/dial", Body: []byte(`"10.0.0.2:80"`)}
	for b.Loop() {
		next, err := d.apply(change)
		if err == nil {
			err = next.seal()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

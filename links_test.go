// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package caddybroker_test

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// places are where pages, forms, units and packages link to outside of this repository, by
// host and beginning of the path. Tests ask nothing of the network: who adds one has seen
// that it is there.
var places = []string{
	"caddyserver.com",
	"caddyserver.com/docs/",
	"github.com/caddy-broker/caddy-broker",
	"github.com/caddy-broker/caddy-broker/security/advisories/new",
	"github.com/caddyserver/xcaddy",
	"keepachangelog.com/en/1.1.0/",
	"semver.org/",
	"www.keepalived.org",
}

// external matches a link of Markdown with a scheme, and what units, forms and packages have
// instead.
var external = regexp.MustCompile(`(?m)\]\(([a-z][a-z+.-]*:[^)]*)\)|^ *(?:Documentation=|url: |homepage: )(.+)$`)

func TestPagesLinkToKnownPlaces(t *testing.T) {
	used := map[string]bool{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == ".git" || d.Name() == "testdata" {
				return filepath.SkipDir
			}
			return nil
		}
		switch filepath.Ext(name) {
		case ".md", ".yml", ".yaml", ".service", ".socket":
		default:
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, found := range external.FindAllStringSubmatch(string(text), -1) {
			target := found[1] + found[2]
			link, err := url.Parse(target)
			if err != nil || link.Scheme != "https" || link.User != nil || strings.TrimSpace(target) != target {
				t.Errorf("%s links to %q, which is no https address (%v)", name, target, err)
				continue
			}
			place := placeOf(link)
			if place == "" {
				t.Errorf("%s links to %s, which is not among the places of this test", name, target)
			}
			used[place] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range places {
		if !used[place] {
			t.Errorf("nothing links to %s any more", place)
		}
	}
}

// placeOf is the place that a link leads to: one that ends with a slash holds all below it.
func placeOf(link *url.URL) string {
	address := link.Host + link.Path
	for _, place := range places {
		if address == place || strings.HasSuffix(place, "/") && strings.HasPrefix(address, place) {
			return place
		}
	}
	return ""
}

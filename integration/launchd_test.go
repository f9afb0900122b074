// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"encoding/xml"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestDocumentedLaunchdJob: what docs/platforms.md gives to launchd runs what the unit
// for systemd runs, but for the paths.
func TestDocumentedLaunchdJob(t *testing.T) {
	t.Parallel()
	blocks := blocksOf(t, "docs/platforms.md")
	i := slices.IndexFunc(blocks, func(b codeBlock) bool { return b.language == "xml" })
	if i < 0 {
		t.Fatal("the page has no job")
	}
	var job struct {
		Dict struct {
			Keys  []string `xml:"key"`
			Array struct {
				Strings []string `xml:"string"`
			} `xml:"array"`
		} `xml:"dict"`
	}
	if err := xml.Unmarshal([]byte(strings.Join(blocks[i].lines, "\n")), &job); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"Label", "ProgramArguments", "WorkingDirectory", "RunAtLoad", "KeepAlive"} {
		if !slices.Contains(job.Dict.Keys, key) {
			t.Errorf("the job has no %s", key)
		}
	}
	unit, err := os.ReadFile("../examples/systemd/caddy-broker.service")
	if err != nil {
		t.Fatal(err)
	}
	_, command, _ := strings.Cut(string(unit), "ExecStart=")
	command, _, _ = strings.Cut(command, "\n")
	arguments := func(words []string) (list []string) {
		for _, word := range words {
			if word != "--environ" && !strings.HasPrefix(word, "/") {
				list = append(list, word)
			}
		}
		return list
	}
	if got, want := arguments(job.Dict.Array.Strings), arguments(strings.Fields(command)); len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("the job runs %q, the unit %q", got, want)
	}
}

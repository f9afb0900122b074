// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/tools/internal/verdict"
)

// h2spec tests the server side of HTTP/2, strict cases too.
type h2spec struct {
	programs programs
	work     string
}

func (h h2spec) all(s *server) (verdict.Results, error) {
	results := verdict.Results{}
	for _, front := range []string{"tls", "h2c"} {
		if err := h.run(s, front, "", results); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// one runs the section that the case belongs to.
func (h h2spec) one(s *server, name string) (verdict.Outcome, error) {
	results := verdict.Results{}
	where, _, _ := strings.Cut(name, ": ")
	front, section, _ := strings.Cut(where, "/")
	err := h.run(s, front, section, results)
	return results[name], err
}

// run adds the outcomes of a section, or of all, to the results.
func (h h2spec) run(s *server, front, section string, results verdict.Results) error {
	report := filepath.Join(h.work, "report.xml")
	args := []string{"-h", "127.0.0.1", "-p", s.Plain, "--timeout", "3", "--strict", "--junit-report", report}
	if front == "tls" {
		args[3] = s.TLS
		args = append(args, "--tls", "--insecure")
	}
	if section != "" {
		args = append(args, section)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	_ = os.Remove(report)
	// Its exit code says only that a case failed, which the report says too.
	out, _ := exec.CommandContext(ctx, h.programs["h2spec"], args...).CombinedOutput()
	text, err := os.ReadFile(report)
	if err != nil {
		return fmt.Errorf("running h2spec: %w\n%s", err, out)
	}
	return addReport(text, front, results)
}

// addReport reads a report in JUnit's format. A case has the name of its section
// and what it demands.
func addReport(text []byte, front string, results verdict.Results) error {
	var read struct {
		Suites []struct {
			Cases []struct {
				Section string  `xml:"package,attr"`
				Demand  string  `xml:"classname,attr"`
				Failure *string `xml:"failure"`
				Error   *string `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &read); err != nil {
		return fmt.Errorf("reading the report of h2spec: %w", err)
	}
	for _, group := range read.Suites {
		for _, c := range group.Cases {
			outcome := verdict.Outcome{Passed: true}
			for _, problem := range []*string{c.Failure, c.Error} {
				if problem != nil {
					outcome = verdict.Outcome{Text: *problem}
				}
			}
			results[front+"/"+c.Section+": "+c.Demand] = outcome
		}
	}
	return nil
}

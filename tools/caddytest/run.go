// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-broker/caddy-broker/tools/internal/verdict"
)

// run runs the tests that pattern names, count times, and returns the outcomes of
// those without parts: of a test with parts, the parts count.
func (s *suite) run(way, pattern string, count int) (verdict.Results, error) {
	home, err := os.MkdirTemp(s.work, "home")
	if err != nil {
		return nil, err
	}
	program, dir := s.ours, s.oursDir
	if way == "" {
		program, dir = s.stock, s.stockDir
	}
	args := []string{program, "-test.v=test2json", "-test.timeout=20m", "-test.count=" + strconv.Itoa(count), "-test.run=" + pattern}
	cmd := exec.Command(args[0], args[1:]...)
	if network, ok := ownNetwork(); ok {
		cmd = exec.Command(network[0], append(network[1:], args...)...) //nolint:gosec // the program was built here
	}
	cmd.Dir = dir
	cmd.Env = append(environment(home), wayEnv[way]...)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	err = cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("running the tests: %w", err)
	}
	if *logs != "" {
		err := errors.Join(
			os.MkdirAll(*logs, 0o750),
			os.WriteFile(filepath.Join(*logs, logName(way, pattern)+".out"), out.Bytes(), 0o600),
			os.WriteFile(filepath.Join(*logs, logName(way, pattern)+".log"), problem.Bytes(), 0o600))
		if err != nil {
			return nil, err
		}
	}
	return outcomes(&out)
}

// again runs the test that a case belongs to alone. Whichever of its parts fails,
// it counts: where a test is not steady, it is not always the same part.
func (s *suite) again(way, name string) (failed, runs int, err error) {
	test, _, _ := strings.Cut(name, "/")
	if way == "" && test == ownTest {
		return 0, 0, nil
	}
	for range *again {
		results, err := s.run(way, "^"+test+"$", 1)
		if err != nil {
			return 0, 0, err
		}
		runs++
		if len(results.Failed()) > 0 || len(results) == 0 {
			failed++
		}
	}
	return failed, runs, nil
}

// environment is what a run knows of this machine: folders of its own, no programs.
func environment(home string) []string {
	return []string{
		"HOME=" + home, "TMPDIR=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, "config"),
		"XDG_DATA_HOME=" + filepath.Join(home, "data"), "PATH=",
	}
}

// ownNetwork is what runs a command in a network of its own, if that is possible.
func ownNetwork() (command []string, ok bool) {
	unshare, err := exec.LookPath("unshare")
	if err != nil || os.Geteuid() != 0 {
		return nil, false
	}
	ip, err := exec.LookPath("ip")
	if err != nil {
		return nil, false
	}
	return []string{
		unshare, "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "/bin/sh", "-c",
		`"$0" link set lo up && exec "$@"`, ip,
	}, true
}

func logName(way, pattern string) string {
	if way == "" {
		way = "stock"
	}
	return strings.Trim(way+"-"+strings.Trim(pattern, "^$"), "-")
}

// outcomes reads what go test prints with -v=test2json.
func outcomes(out *bytes.Buffer) (verdict.Results, error) {
	convert := exec.Command("go", "tool", "test2json")
	convert.Stdin = out
	events, err := convert.Output()
	if err != nil {
		return nil, fmt.Errorf("reading what the tests printed: %w", err)
	}
	results, text := verdict.Results{}, map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(events))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var event struct{ Action, Test, Output string }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			return nil, fmt.Errorf("reading what the tests printed: %w", err)
		}
		switch event.Action {
		case "output":
			text[event.Test] += event.Output
		case "run":
			results[event.Test] = verdict.Outcome{} // until it is said, it did not pass
		case "pass", "skip", "fail":
			results[event.Test] = verdict.Outcome{Passed: event.Action != "fail", Text: text[event.Test]}
		}
	}
	delete(results, "")
	for _, name := range slices.Sorted(maps.Keys(results)) {
		for i, c := range name { // the name of a part may have a slash
			whole, ok := results[name[:i]]
			if c == '/' && ok && (whole.Passed || !results[name].Passed) {
				delete(results, name[:i])
			}
		}
	}
	return results, lines.Err()
}

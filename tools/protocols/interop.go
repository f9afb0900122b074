// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/caddy-broker/caddy-broker/tools/internal/verdict"
)

// interopCases are the cases of gRPC's client that need one server and no cloud.
var interopCases = []string{
	"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
	"timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response", "status_code_and_message",
	"special_status_message", "custom_metadata", "unimplemented_method", "unimplemented_service",
	"orca_per_rpc", "orca_oob", "rpc_soak", "channel_soak",
}

// interop is gRPC's interoperability tests.
type interop struct{ programs programs }

func (i interop) all(s *server) (verdict.Results, error) {
	results := verdict.Results{}
	for _, front := range []string{"tls", "h2c"} {
		for _, name := range interopCases {
			outcome, err := i.one(s, front+"/"+name)
			if err != nil {
				return nil, err
			}
			results[front+"/"+name] = outcome
		}
	}
	return results, nil
}

func (i interop) one(s *server, name string) (verdict.Outcome, error) {
	front, test, _ := strings.Cut(name, "/")
	args := []string{
		"--server_host=127.0.0.1", "--server_port=" + s.Plain, "--test_case=" + test,
		// The time of a call is not what is compared.
		"--soak_per_iteration_max_acceptable_latency_ms=300000", "--soak_overall_timeout_seconds=300",
	}
	if strings.HasPrefix(test, "orca_") {
		args = append(args, `--service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}`)
	}
	if front == "tls" {
		args[1] = "--server_port=" + s.TLS
		args = append(args, "--use_tls", "--use_test_ca", "--ca_file="+filepath.Join(s.Dir, "cert.pem"))
	}
	return succeeds(i.programs["interop client"], args...)
}

// succeeds runs a program; an exit code is an outcome, and a program that cannot be
// run an error.
func succeeds(program string, args ...string) (verdict.Outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*limit)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		return verdict.Outcome{}, fmt.Errorf("running %s: %w", program, err)
	}
	return verdict.Outcome{Passed: err == nil, Text: string(out)}, nil
}

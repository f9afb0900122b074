// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-broker/caddy-broker/internal/plain"
)

// Exit codes of the commands that answer a question.
const (
	exitYes      = 0
	exitNo       = 1
	exitNoBroker = 2
)

// errNo ends a command with exitNo, when its output has said why.
var errNo = errors.New("no")

// addressFlags are those of every command that talks to a running broker.
func addressFlags(cmd *cobra.Command) {
	cmd.Flags().StringP("address", "", "", "Address of the administration endpoint, if not the default")
	cmd.Flags().StringP("config", "c", "", "Configuration file to take the address from")
	cmd.Flags().StringP("adapter", "a", "", "Name of config adapter to apply (when --config is used)")
}

// withArgs runs f with the command's flags and arguments, its error shown as Caddy shows errors.
func withArgs(f func(caddycmd.Flags, []string) (int, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		silent := false
		err := caddycmd.WrapCommandFuncForCobra(func(fl caddycmd.Flags) (int, error) {
			code, err := f(fl, args)
			if silent = errors.Is(err, errNo); silent {
				return exitYes, nil // which has no error to show
			}
			return code, err
		})(cmd, args)
		if silent {
			cmd.SilenceErrors = true
			return errNo
		}
		return err
	}
}

// refusal is an error that a broker answered with.
type refusal struct {
	text   string
	paused bool // it serves nothing because an operator wants it so
}

func (r refusal) Error() string { return r.text }

// unreachable is an error without an answer of anything.
type unreachable struct{ error }

// noBroker is the exit code of a command that answers a question and got err instead.
func noBroker(err error) int {
	if _, ok := errors.AsType[refusal](err); ok {
		return exitNo
	}
	return exitNoBroker
}

// get asks the running broker.
func get(fl caddycmd.Flags, path string) ([]byte, error) {
	return ask(fl, http.MethodGet, path, nil)
}

// getInto asks the running broker, and reads its answer into v.
func getInto(fl caddycmd.Flags, path string, v any) error {
	body, err := get(fl, path)
	if err != nil {
		return err
	}
	return read(body, v)
}

// read decodes a broker's answer.
func read(body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("reading the broker's answer: %w", err)
	}
	return nil
}

func ask(fl caddycmd.Flags, method, path string, body io.Reader) ([]byte, error) {
	address, err := adminAddress(fl)
	if err != nil {
		return nil, err
	}
	return askAt(address, method, path, body)
}

// askAt asks the broker at an address.
func askAt(address, method, path string, body io.Reader) ([]byte, error) {
	resp, err := openAt(address, method, path, nil, body)
	if err != nil {
		return nil, err
	}
	defer resp.Close()
	return io.ReadAll(io.LimitReader(resp, maxBody))
}

// open asks the running broker, and returns its answer while that may still be coming.
func open(fl caddycmd.Flags, method, path string, body io.Reader) (io.ReadCloser, error) {
	return openWith(fl, method, path, nil, body)
}

// openWith is open with a header.
func openWith(fl caddycmd.Flags, method, path string, header http.Header, body io.Reader) (io.ReadCloser, error) {
	address, err := adminAddress(fl)
	if err != nil {
		return nil, err
	}
	return openAt(address, method, path, header, body)
}

// adminAddress is where the broker answers, by the flags of the command.
func adminAddress(fl caddycmd.Flags) (string, error) {
	address, err := caddycmd.DetermineAdminAPIAddress(fl.String("address"), nil, fl.String("config"), fl.String("adapter"))
	if err != nil {
		return "", fmt.Errorf("finding the admin endpoint: %w", err)
	}
	return address, nil
}

// openAt asks the broker at an address.
func openAt(address, method, path string, header http.Header, body io.Reader) (io.ReadCloser, error) {
	resp, err := caddycmd.AdminAPIRequest(address, method, path, header, body)
	if err != nil {
		return nil, plainError(address, err)
	}
	return resp.Body, nil
}

// plainError is what the broker itself said, where Caddy's client wraps it.
func plainError(address string, err error) error {
	text := err.Error()
	if i := strings.Index(text, `{"error":`); i >= 0 {
		var said struct {
			Error  string `json:"error"`
			Paused bool   `json:"paused"`
		}
		if json.Unmarshal([]byte(strings.TrimSpace(text[i:])), &said) == nil && said.Error != "" {
			return refusal{plain.Text(said.Error, maxError), said.Paused}
		}
	}
	if strings.Contains(text, "HTTP 404") {
		return fmt.Errorf("no broker at %s: a Caddy without this plugin answers there", address)
	}
	err = fmt.Errorf("asking the broker at %s: is it running? %w", address, err)
	if strings.HasPrefix(text, "performing request: ") { // which Caddy's client says, and no answer can
		return unreachable{err}
	}
	return err
}

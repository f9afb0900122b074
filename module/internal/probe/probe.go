// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"golang.org/x/net/http/httpguts"
)

const (
	// MaxProbes bounds how many probes a configuration has: all are sent at once.
	MaxProbes = 64
	// MaxTimeout bounds what a probe may take: for so long a reload waits.
	MaxTimeout = time.Minute
	// maxBody bounds what is read of an answer, in bytes.
	maxBody = 1 << 20

	defaultTimeout = 5 * time.Second
)

// Probe is one request with what is expected of its answer.
type Probe struct {
	// Method and URL are what is asked for. The URL names a site of the configuration.
	Method string `json:"method"`
	URL    string `json:"url"`
	// Expect are the statuses that are right, as numbers or classes such as 2xx. Default:
	// 2xx and 3xx.
	Expect []string `json:"expect,omitempty"`
	// Header are header fields that the answer must have, with these values; * at either
	// end of a value stands for anything.
	Header map[string]string `json:"header,omitempty"`
	// BodyContains is a text that the first MiB of the body must contain.
	BodyContains string `json:"body_contains,omitempty"`
	// RequestHeader are header fields to send.
	RequestHeader map[string]string `json:"request_header,omitempty"`
	// Timeout bounds the whole exchange. Default: 5s.
	Timeout *caddy.Duration `json:"timeout,omitempty"`
	// Unsafe allows a method that changes something, such as POST.
	Unsafe bool `json:"unsafe,omitempty"`
	// At is where the probe stands in a file, for errors.
	At string `json:"at,omitempty"`
}

// String names the probe.
func (p *Probe) String() string { return "probe " + p.Method + " " + p.URL }

// Limit is how long the probe may take.
func (p *Probe) Limit() time.Duration {
	if p.Timeout == nil {
		return defaultTimeout
	}
	return time.Duration(*p.Timeout)
}

// place adds to an error which probe it is about, and where that stands.
func (p *Probe) place(err error) error {
	if err == nil {
		return nil
	}
	if p.At == "" {
		return fmt.Errorf("%s: %w", p, err)
	}
	return fmt.Errorf("%s: %w, at %s", p, err, p.At)
}

// safe are the methods that change nothing.
var safe = []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace}

// Check reports what is wrong with a list of probes.
func Check(list []Probe) error {
	if len(list) > MaxProbes {
		return fmt.Errorf("there are %d probes: at most %d are sent", len(list), MaxProbes)
	}
	for i := range list {
		if err := list[i].place(list[i].check()); err != nil {
			return err
		}
	}
	return nil
}

func (p *Probe) check() error {
	if err := p.checkRequest(); err != nil {
		return err
	}
	if err := Table.Check(p); err != nil {
		return err
	}
	return p.impossible()
}

func (p *Probe) checkRequest() error {
	switch {
	case p.Method != strings.ToUpper(p.Method) || !httpguts.ValidHeaderFieldName(p.Method):
		return fmt.Errorf("%q is no method: write it in capital letters", p.Method)
	case p.Method == http.MethodConnect:
		return errors.New("CONNECT has no answer that could be looked at")
	case !slices.Contains(safe, p.Method) && !p.Unsafe:
		return fmt.Errorf("the method may change something, and the probe is sent at each reload: use one of %s, or say unsafe", strings.Join(safe, ", "))
	}
	u, err := url.Parse(p.URL)
	switch {
	case err != nil:
		return fmt.Errorf("reading its address: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return errors.New("its address is not allowed: expecting one such as https://example.com/health")
	case u.User != nil:
		return errors.New("its address has a user: send request_header Authorization")
	case u.Fragment != "":
		return errors.New("its address has a fragment, which is never sent: remove it")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("port %s is not allowed: expecting a number from 1 to 65535", port)
		}
	}
	return nil
}

// impossible is why no answer could be right.
func (p *Probe) impossible() error {
	if p.BodyContains == "" {
		return nil
	}
	if p.Method == http.MethodHead {
		return errors.New("body_contains can never hold: the answer to HEAD has no body")
	}
	if len(p.Expect) > 0 && !slices.ContainsFunc(p.Expect, func(s string) bool { return s != "204" && s != "304" }) {
		return errors.New("body_contains can never hold: an answer with status " + strings.Join(p.Expect, " or ") + " has no body")
	}
	return nil
}

// expects reports whether a status is right.
func (p *Probe) expects(status int) bool {
	if len(p.Expect) == 0 {
		return status >= 200 && status < 400
	}
	text := strconv.Itoa(status)
	return slices.ContainsFunc(p.Expect, func(s string) bool { return s == text || s[1:] == "xx" && s[0] == text[0] })
}

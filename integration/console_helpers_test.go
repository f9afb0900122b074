// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-broker/caddy-broker/integration/browser"
	"github.com/caddy-broker/caddy-broker/integration/harness"
)

// newBrowser is a browser, or the test is skipped where there is none.
func newBrowser(t *testing.T, more ...string) *browser.Browser {
	t.Helper()
	skipShort(t)
	b, err := browser.Start(t.TempDir(), more...)
	if errors.Is(err, browser.ErrNone) {
		t.Skip("no chromium is installed")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("closing the browser: %v", err)
		}
	})
	return b
}

// openPage is a page that went to an address. What the browser complains of until the test
// ends is an error.
func openPage(t *testing.T, b *browser.Browser, url string, look browser.Look) *browser.Page {
	t.Helper()
	p, err := b.Open(t.Context(), look)
	if err == nil {
		err = p.Go(t.Context(), url)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, complaint := range p.Complaints() {
			t.Errorf("the browser complains at %s: %s", url, complaint)
		}
	})
	return p
}

// awaitText waits until the text of an element has all of the parts, without anything
// being pressed.
func awaitText(t *testing.T, p *browser.Page, selector string, parts ...string) {
	t.Helper()
	if err := harness.Until(t.Context(), soon, func() error {
		var text string
		err := p.Eval(t.Context(), fmt.Sprintf(`[...document.querySelectorAll(%q)].map((e) => e.innerText).join("\n")`, selector), &text)
		if err != nil {
			return err
		}
		for _, part := range parts {
			if !strings.Contains(text, part) {
				return fmt.Errorf("%s lacks %q: %s", selector, part, text)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// pressButton presses a button of an element, and then the one of the question, which must
// have the parts.
func pressButton(t *testing.T, p *browser.Page, within, label string, question ...string) {
	t.Helper()
	if err := p.Press(t.Context(), within+" a.button", label); err != nil {
		t.Fatal(err)
	}
	awaitText(t, p, "body", question...)
	if err := p.Press(t.Context(), "form button", label); err != nil {
		t.Fatal(err)
	}
}

// pictures takes a picture of an address in all looks, for people to look at.
func pictures(t *testing.T, b *browser.Browser, url, name string) {
	t.Helper()
	dir := t.ArtifactDir()
	for _, look := range []struct {
		name string
		browser.Look
	}{
		{"light-1280", browser.Look{Width: 1280, Height: 900}},
		{"dark-1280", browser.Look{Width: 1280, Height: 900, Dark: true}},
		{"light-360", browser.Look{Width: 360, Height: 740}},
	} {
		p, err := b.Open(t.Context(), look.Look)
		if err == nil {
			err = errors.Join(p.Go(t.Context(), url), p.Screenshot(t.Context(), filepath.Join(dir, name+"-"+look.name+".png")))
		}
		if err != nil {
			t.Fatal(err)
		}
		var wider float64
		if err := p.Eval(t.Context(), "document.documentElement.scrollWidth - innerWidth", &wider); err != nil || wider > 0 {
			t.Errorf("%s at %s is %v wider than the window (%v)", name, look.name, wider, err)
		}
		for _, complaint := range p.Complaints() {
			t.Errorf("%s at %s: the browser complains: %s", name, look.name, complaint)
		}
		_ = p.Close(context.WithoutCancel(t.Context()))
	}
}

// damage makes the Caddyfile one that cannot be loaded, and returns what undoes it.
func damage(t *testing.T, b *harness.Broker) (mend func()) {
	t.Helper()
	path := filepath.Join(b.Dir, "Caddyfile")
	was, err := os.ReadFile(path)
	if err == nil {
		err = b.Write(string(was) + "\nhttp://:1 {\n\tno_such_directive\n}\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := b.Write(string(was)); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitExecuted waits until backends have begun to execute n requests.
func awaitExecuted(t *testing.T, backends []*harness.Backend, n int) {
	t.Helper()
	if err := harness.Until(t.Context(), soon, func() error {
		if got := len(executions(t, backends)); got < n {
			return fmt.Errorf("%d requests have arrived, not %d", got, n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// answerOf is the status and the body of the answer to a request.
func answerOf(t *testing.T, r *http.Request) (status int, body string) {
	t.Helper()
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
)

// Page is a page that is open in a browser.
type Page struct {
	b               *Browser
	target, session string

	mu         sync.Mutex
	complaints []string      // by mu
	expected   []string      // by mu
	loaded     chan struct{} // has an element when a page was loaded
}

type params = map[string]any

// Look is how a page is looked at.
type Look struct {
	Width, Height int
	Dark          bool
	NoScript      bool
	// Header is sent with every request.
	Header map[string]string
}

// Open opens an empty page.
func (b *Browser) Open(ctx context.Context, look Look) (*Page, error) {
	var target struct{ TargetID string }
	if err := b.call(ctx, "", "Target.createTarget", params{"url": "about:blank"}, &target); err != nil {
		return nil, err
	}
	var session struct{ SessionID string }
	if err := b.call(ctx, "", "Target.attachToTarget", params{"targetId": target.TargetID, "flatten": true}, &session); err != nil {
		return nil, err
	}
	p := &Page{b: b, target: target.TargetID, session: session.SessionID, loaded: make(chan struct{}, 1)}
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	scheme := "light"
	if look.Dark {
		scheme = "dark"
	}
	for _, c := range []struct {
		method string
		params any
	}{
		{"Page.enable", params{}},
		{"Runtime.enable", params{}},
		{"Log.enable", params{}},
		{"Network.enable", params{}},
		{"Network.setExtraHTTPHeaders", params{"headers": look.Header}},
		{"Emulation.setScriptExecutionDisabled", params{"value": look.NoScript}},
		{"Emulation.setDeviceMetricsOverride", params{"width": look.Width, "height": look.Height, "deviceScaleFactor": 1, "mobile": look.Width < 600}},
		{"Emulation.setEmulatedMedia", params{"features": []params{{"name": "prefers-color-scheme", "value": scheme}}}},
	} {
		if c.method == "Network.setExtraHTTPHeaders" && look.Header == nil {
			continue
		}
		if err := p.call(ctx, c.method, c.params, nil); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Page) call(ctx context.Context, method string, params, v any) error {
	return p.b.call(ctx, p.session, method, params, v)
}

// happened takes an event.
func (p *Page) happened(m message) {
	var e struct {
		Type  string
		Entry struct {
			Level, Source, Text, URL string
		}
		Args             []struct{ Value, Description any }
		ExceptionDetails struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	if json.Unmarshal(m.Params, &e) != nil {
		return
	}
	complaint := ""
	switch m.Method {
	case "Page.loadEventFired":
		select {
		case p.loaded <- struct{}{}:
		default:
		}
	case "Runtime.exceptionThrown":
		complaint = e.ExceptionDetails.Text + " " + e.ExceptionDetails.Exception.Description
	case "Runtime.consoleAPICalled":
		if e.Type == "error" || e.Type == "warning" || e.Type == "assert" {
			complaint = fmt.Sprint(e.Args)
		}
	case "Log.entryAdded":
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			complaint = e.Entry.Source + ": " + e.Entry.Text + " " + e.Entry.URL
		}
	}
	if complaint == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.ContainsFunc(p.expected, func(part string) bool { return strings.Contains(complaint, part) }) {
		p.complaints = append(p.complaints, complaint)
	}
}

// Expect says that what has this part is to be complained of from now on.
func (p *Page) Expect(part string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = append(p.expected, part)
}

// Complaints are what the browser has complained of: errors of scripts, requests that
// failed, and what the page's policy forbids.
func (p *Page) Complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.complaints)
}

// Go goes to an address as one does who types it, and returns when it is loaded.
func (p *Page) Go(ctx context.Context, url string) error {
	var went struct{ ErrorText string }
	p.forget()
	if err := p.call(ctx, "Page.navigate", params{"url": url}, &went); err != nil {
		return err
	}
	if went.ErrorText != "" {
		return fmt.Errorf("going to %s: %s", url, went.ErrorText)
	}
	return p.awaitLoad(ctx)
}

func (p *Page) forget() {
	select {
	case <-p.loaded:
	default:
	}
}

func (p *Page) awaitLoad(ctx context.Context) error {
	select {
	case <-p.loaded:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Eval puts what a JavaScript expression is into v; of a promise, what it becomes.
func (p *Page) Eval(ctx context.Context, expression string, v any) error {
	var said struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Exception struct{ Description string }
		}
	}
	err := p.call(ctx, "Runtime.evaluate", params{"expression": expression, "returnByValue": true, "awaitPromise": true}, &said)
	switch {
	case err != nil:
		return err
	case said.ExceptionDetails != nil:
		return fmt.Errorf("%s: %s", expression, said.ExceptionDetails.Exception.Description)
	case v == nil || len(said.Result.Value) == 0:
		return nil
	}
	return json.Unmarshal(said.Result.Value, v)
}

// Press presses the mouse on the first element of a selector whose text begins so, and
// returns when the page that this leads to is loaded.
func (p *Page) Press(ctx context.Context, selector, text string) error {
	var at *struct{ X, Y float64 }
	err := p.Eval(ctx, fmt.Sprintf(`(() => {
		const e = [...document.querySelectorAll(%q)].find((e) => e.textContent.trim().startsWith(%q));
		if (!e) return null;
		e.scrollIntoView({block: "center", behavior: "instant"});
		const r = e.getBoundingClientRect();
		return {x: r.x + r.width / 2, y: r.y + r.height / 2};
	})()`, selector, text), &at)
	if err != nil {
		return err
	}
	if at == nil {
		return fmt.Errorf("there is no %s %q to press", selector, text)
	}
	p.forget()
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		if err := p.call(ctx, "Input.dispatchMouseEvent", params{"type": kind, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1}, nil); err != nil {
			return err
		}
	}
	return p.awaitLoad(ctx)
}

// Key presses a key.
func (p *Page) Key(ctx context.Context, key string, code int, text string) error {
	for _, kind := range []string{"keyDown", "keyUp"} {
		if err := p.call(ctx, "Input.dispatchKeyEvent", params{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text}, nil); err != nil {
			return err
		}
	}
	return nil
}

// Screenshot writes a picture of the whole page to a file.
func (p *Page) Screenshot(ctx context.Context, file string) error {
	var (
		shot struct{ Data []byte }
		size struct {
			CSSContentSize struct{ Width, Height float64 }
		}
	)
	if err := p.call(ctx, "Page.getLayoutMetrics", params{}, &size); err != nil {
		return err
	}
	clip := params{"x": 0, "y": 0, "width": size.CSSContentSize.Width, "height": size.CSSContentSize.Height, "scale": 1}
	if err := p.call(ctx, "Page.captureScreenshot", params{"captureBeyondViewport": true, "clip": clip}, &shot); err != nil {
		return err
	}
	return os.WriteFile(file, shot.Data, 0o600)
}

// Close closes the page.
func (p *Page) Close(ctx context.Context) error {
	return p.b.call(ctx, "", "Target.closeTarget", params{"targetId": p.target}, nil)
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
	"github.com/caddy-broker/caddy-broker/supervisor/exits"
)

//go:embed web/page.html
var templates embed.FS

var (
	//go:embed web/style.css
	style string
	//go:embed web/live.js
	script string
)

// maxLong bounds a text of several lines of strangers, in bytes, and maxLines says how
// many of its last lines are shown.
const (
	maxLong  = 16 << 10
	maxLines = 40
)

var drawn = template.Must(template.New("").Funcs(template.FuncMap{
	"short": short,
	"long":  func(text string) string { return plain.Text(text, maxLong) },
	"lines": func(text string) string { return plain.Text(exits.LastWords(text, maxLines), maxLong) },
	"mark":  mark, "host": hostName, "standbys": Standbys,
	"count": func(n any, one, many string) string {
		if text := fmt.Sprint(n); text != "1" {
			return text + " " + many
		}
		return "1 " + one
	},
	"ago":     func(now, at any) string { return overview.Span(timeOf(now).Sub(timeOf(at))) },
	"in":      func(now, at any) string { return "in " + overview.Span(timeOf(at).Sub(timeOf(now))) },
	"moment":  func(now, at any) string { return moment(timeOf(now), timeOf(at)) },
	"clock":   func(at time.Time) string { return at.Local().Format("2006-01-02 15:04:05 MST") },
	"machine": func(at time.Time) string { return at.UTC().Format(time.RFC3339) },
	"hourAgo": func(now time.Time) string { return now.Add(-time.Hour).Local().Format("15:04") },
	"halfAgo": func(now time.Time) string { return now.Add(-30 * time.Minute).Local().Format("15:04") },
	"ended":   func(e *exits.Exit) string { return short(ending(e)) },
	"lived":   func(s float64) string { return overview.Span(time.Duration(s * float64(time.Second))) },
	"mib":     func(n int64) string { return fmt.Sprintf("%d MiB", n>>20) },
	"few":     func(list []exits.Route) []exits.Route { return list[:min(len(list), 10)] },
	"verdict": verdict, "stateClass": stateClass, "poolClass": poolClass, "upstreamClass": upstreamClass,
	"laneWidth": laneWidth, "laneLabel": laneLabel,
	"chartWidth": func() int { return chartWidth }, "chartHeight": func() int { return chartHeight },
}).ParseFS(templates, "web/page.html"))

func timeOf(v any) time.Time {
	switch t := v.(type) {
	case time.Time:
		return t
	case *time.Time:
		if t != nil {
			return *t
		}
	}
	return time.Time{}
}

// moment is a time of day, with the date if that is another one.
func moment(now, at time.Time) string {
	now, at = now.Local(), at.Local()
	if now.YearDay() == at.YearDay() && now.Year() == at.Year() {
		return at.Format(time.TimeOnly)
	}
	return at.Format("01-02 15:04:05")
}

// ending is how a process ended.
func ending(e *exits.Exit) string {
	if e.Signal != "" {
		return e.Reason + ", " + e.Signal
	}
	return fmt.Sprintf("%s, code %d", e.Reason, e.Code)
}

func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return short(name)
}

// mark is a sign for a class, so that it is not said by its colour alone.
func mark(class string) string {
	switch class {
	case "ok":
		return "●"
	case "warn":
		return "▲"
	case "error":
		return "■"
	case "idle":
		return "○"
	default:
		return "·"
	}
}

// verdict is the class of the first line.
func verdict(p *page) string {
	switch {
	case p.AllRight:
		return "ok"
	case slices.ContainsFunc(p.Problems, func(q overview.Problem) bool { return q.Severity == overview.Error }):
		return "error"
	default:
		return "warn"
	}
}

func stateClass(state string) string {
	switch state {
	case "active":
		return "ok"
	case "backoff", "":
		return "error"
	case "stopped":
		return "idle"
	default:
		return "warn"
	}
}

func poolClass(state string) string {
	switch state {
	case "connected":
		return "ok"
	case "connecting":
		return "warn"
	default:
		return "error"
	}
}

func upstreamClass(state string) string {
	switch state {
	case "up":
		return "ok"
	case "down":
		return "error"
	case "drained", "removed":
		return "idle"
	default:
		return "warn"
	}
}

// policy is what a browser may do with a page: it shows it, with this style and this
// script, and asks only the place where it came from.
var policy = strings.Join([]string{
	"default-src 'none'", "style-src " + hashOf(style), "script-src " + hashOf(script), "connect-src 'self'", "img-src data:",
	"form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
}, "; ")

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// protect sets the headers of every answer.
func protect(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// refreshEvery is how often the page is loaded again without script, in seconds.
const refreshEvery = 10

// write sends a page. A live one is kept up to date.
func write(w http.ResponseWriter, status int, title, name string, live bool, data any) error {
	var page bytes.Buffer
	page.WriteString("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n" +
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" + template.HTMLEscapeString(title) + "</title>\n" +
		"<link rel=\"icon\" href=\"data:,\">\n")
	if live {
		fmt.Fprintf(&page, "<noscript><meta http-equiv=\"refresh\" content=\"%d; url=?\"></noscript>\n", refreshEvery)
	}
	page.WriteString("<style>" + style + "</style>\n</head>\n<body>\n")
	if err := drawn.ExecuteTemplate(&page, name, data); err != nil {
		return err
	}
	if live {
		page.WriteString("<script>" + script + "</script>\n")
	}
	page.WriteString("</body>\n</html>\n")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := w.Write(page.Bytes())
	return err
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Text renders a value as a Caddyfile writes it.
func Text(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return DurationString(v)
	case []string:
		return strings.Join(v, " ")
	case map[string]string:
		var pairs []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			pairs = append(pairs, key+" "+v[key])
		}
		return strings.Join(pairs, ", ")
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

// DurationString is [time.Duration.String] without zero minutes and seconds at its
// end: "1m" instead of "1m0s"; "-1" for [NoLimit].
func DurationString(d time.Duration) string {
	switch d {
	case NoLimit:
		return "-1"
	case 0:
		return "0"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Quote shows a text of the user's in an error: shortened, and without the
// password that an address may hold by mistake.
func Quote(s string) string {
	const most = 120
	if at := strings.LastIndexByte(s, '@'); at >= 0 && !strings.HasPrefix(s, "unix") {
		scheme, _, ok := strings.Cut(s[:at], "://")
		if ok {
			scheme += "://"
		} else {
			scheme = ""
		}
		s = scheme + "***" + s[at:]
	}
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strconv.Quote(s)
}

// MarkdownTable is the table of docs: a line per option, with the names in a
// failover address where addresses is true.
func (t Table[S]) MarkdownTable(addresses bool) string {
	var b strings.Builder
	if addresses {
		b.WriteString("| Caddyfile, JSON | in an address | default | allowed | effect |\n|---|---|---|---|---|\n")
	} else {
		b.WriteString("| option | default | allowed | effect |\n|---|---|---|---|\n")
	}
	for i := range t {
		r := &t[i]
		b.WriteString("| `" + r.Name + "` | ")
		if addresses && len(r.Address) == 0 {
			b.WriteString("– | ")
		} else if addresses {
			b.WriteString("`" + strings.Join(r.Address, "`, `") + "` | ")
		}
		def := r.Default
		if !strings.ContainsAny(def, " `") && def != "none" && def != Required {
			def = "`" + def + "`"
		}
		b.WriteString(def + " | " + r.Allowed + " | " + r.Effect + " |\n")
	}
	return b.String()
}

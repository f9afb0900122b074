// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// refusal is why a configuration cannot be prepared: what Caddy itself says of it, or
// else what is wrong for us.
func refusal(config []byte, ours error) error {
	var cfg *caddy.Config
	err := caddy.StrictUnmarshalJSON(config, &cfg)
	if err == nil {
		err = caddy.Validate(cfg)
	}
	if err == nil {
		return ours
	}
	return fmt.Errorf("loading new config: %w", err)
}

// firstRoute is where an error of Caddy's http app names a route of a server: by its
// place in the list, which the guard comes before.
var firstRoute = regexp.MustCompile(`: route (\d+)[:,]`)

// inUserWords is an error of a prepared configuration as the user's own would have had
// it: with the places of routes as they are there, and the networks that it names.
func inUserWords(text string) string {
	if at := firstRoute.FindStringSubmatchIndex(text); at != nil && !strings.Contains(text[:at[0]], "named route") {
		if n, err := strconv.Atoi(text[at[2]:at[3]]); err == nil && n > 0 {
			text = text[:at[2]] + strconv.Itoa(n-1) + text[at[3]:]
		}
	}
	for ours, theirs := range networks {
		named := theirs + "/"
		if theirs == "tcp" {
			named = "" // as Caddy shows addresses
		}
		text = strings.ReplaceAll(text, "listening on "+ours+"/", "listening on "+named)
	}
	return text
}

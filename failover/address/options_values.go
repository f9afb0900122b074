// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/caddy-broker/caddy-broker/internal/options"
)

// priorityField reads addresses with or without a scheme.
func priorityField() options.Access[Options] {
	return options.Access[Options]{
		Get: func(o *Options) any {
			list := make([]string, len(o.PriorityURIs))
			for i, u := range o.PriorityURIs {
				list[i] = u.String()
			}
			return list
		},
		Set: func(o *Options, v any) error {
			list, err := options.Checked[[]string](v)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				return options.ErrEmptyList
			}
			uris := make([]URI, len(list))
			for i, s := range list {
				if uris[i], err = parseMember(s); err != nil {
					return fmt.Errorf("address %s: %w", Quote(s), err)
				}
			}
			o.PriorityURIs = uris
			return nil
		},
	}
}

var affinityWords = map[string]AffinityKind{
	"client_ip": AffinityClientIP,
	"cookie":    AffinityCookie,
	"header":    AffinityHeader,
	"request":   AffinityRequest,
	"pool":      AffinityPool,
}

// String is the affinity as a Caddyfile writes it; the default is empty.
func (a Affinity) String() string {
	for word, kind := range affinityWords {
		if kind == a.Kind {
			return strings.TrimSpace(word + " " + a.Name)
		}
	}
	return ""
}

// affinityField reads a kind, and after a blank the name where the kind has one.
func affinityField() options.Access[Options] {
	return options.Access[Options]{
		Get: func(o *Options) any { return o.Affinity.String() },
		Set: func(o *Options, v any) error {
			text, err := options.Checked[string](v)
			if err != nil {
				return err
			}
			word, name, hasName := strings.Cut(text, " ")
			kind := affinityWords[word]
			switch named := kind == AffinityCookie || kind == AffinityHeader; {
			case kind == AffinityDefault:
				return options.ErrRange
			case named && !isToken(name):
				return fmt.Errorf("%s needs one name of letters, digits and hyphens", word)
			case !named && hasName:
				return fmt.Errorf("%s takes no name", word)
			}
			if kind == AffinityHeader {
				name = http.CanonicalHeaderKey(name)
			}
			o.Affinity = Affinity{Kind: kind, Name: name}
			return nil
		},
	}
}

// pingField reads a method and a request target.
func pingField() options.Access[Options] {
	return options.Access[Options]{
		Get: func(o *Options) any { return o.PingMethod + " " + o.PingURI },
		Set: func(o *Options, v any) error {
			text, err := options.Checked[string](v)
			if err != nil {
				return err
			}
			method, uri, _ := strings.Cut(text, " ")
			if err := checkPing(method, uri); err != nil {
				return err
			}
			o.PingMethod, o.PingURI = method, uri
			return nil
		},
	}
}

func checkPing(method, uri string) error {
	switch {
	case strings.HasPrefix(method, "/") || method == "*":
		return errors.New("the method is missing")
	case !isToken(method) || method == http.MethodConnect:
		return fmt.Errorf("%s is not a method of a ping", Quote(method))
	case method != strings.ToUpper(method):
		return fmt.Errorf("methods are case-sensitive: write %s", strings.ToUpper(method))
	case uri == "":
		return errors.New("the URI is missing")
	case uri == "*" && method == http.MethodOptions:
		return nil
	case uri == "*":
		return errors.New("* goes with OPTIONS only")
	case !strings.HasPrefix(uri, "/"):
		return errors.New("the URI does not begin with a slash")
	case strings.ContainsAny(uri, "# ") || !isPrintable(uri):
		return errors.New("the URI has a blank, a fragment or a character that needs a percent escape")
	}
	if _, err := url.ParseRequestURI(uri); err != nil {
		return errors.New("the URI has a broken percent escape")
	}
	return nil
}

// checkDiscovery checks an agent and its service, whose name has the form that
// RFC 6763 gives it.
func checkDiscovery(s string) error {
	agent, service, _ := strings.Cut(s, " ")
	if agent != "mdns" {
		return errors.New("the one agent is mdns; for names in DNS use `dynamic srv` or `dynamic a` in reverse_proxy")
	}
	name, transport, _ := strings.Cut(service, ".")
	name, ok := strings.CutPrefix(name, "_")
	if !ok || name == "" || len(name) > 15 || !onlyHas(name, isNameByte) || transport != "_tcp" {
		return errors.New("the service has the form _NAME._tcp, such as _http._tcp")
	}
	return nil
}

// checkListURL checks the place of an address list.
func checkListURL(s string) error {
	if s == "" || !isPrintable(s) {
		return options.ErrRange
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		// A path; but not http:/host, which was meant as a URL. One letter before
		// the colon is a drive.
		if scheme, _, ok = strings.Cut(s, ":"); ok && len(scheme) > 1 && onlyHas(scheme, isNameByte) {
			return errors.New("two slashes follow the scheme of a URL; if it is the path of a file, write ./ before it")
		}
		return nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("it is not a URL")
	case u.User != nil:
		return errors.New("user names and passwords are not allowed in it")
	case u.Fragment != "":
		return errors.New("a fragment has no meaning in it")
	case scheme == "file" && !strings.HasPrefix(rest, "/"):
		return errors.New("a file URL has three slashes: file:///PATH")
	case scheme == "file" && u.RawQuery != "":
		return errors.New("a file URL has no query")
	case scheme == "file", (scheme == SchemeHTTP || scheme == SchemeHTTPS) && u.Hostname() != "":
		return nil
	}
	return options.ErrRange
}

// checkPoolName checks a name that becomes part of URLs and metric labels. The
// number sign is ours: it numbers pools that would have the same name.
func checkPoolName(s string) error {
	if s == "" || len(s) > 100 {
		return options.ErrRange
	}
	if !onlyHas(s, func(c byte) bool { return c != '~' && (isNameByte(c) || strings.IndexByte(":[]", c) >= 0) }) {
		return options.ErrRange
	}
	return nil
}

// isToken reports whether s is a token of RFC 9110, section 5.6.2.
func isToken(s string) bool {
	return s != "" && onlyHas(s, func(c byte) bool { return isNameByte(c) || strings.IndexByte("!#$%&'*+^`|", c) >= 0 })
}

// isPrintable reports whether s is valid UTF-8 without control characters.
func isPrintable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 })
}

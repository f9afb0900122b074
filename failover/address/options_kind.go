// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Kind is the type of an option's value.
type Kind uint8

// The kinds, with the Go types of their values.
const (
	KindBool     Kind = iota // bool
	KindInt                  // int
	KindSize                 // int64, bytes
	KindFloat                // float64
	KindDuration             // time.Duration; -1 stands for no limit
	KindText                 // string
	KindWords                // string of words that a Caddyfile gives as arguments
	KindList                 // []string
)

// Parsers read the units of the place where an option is written.
type Parsers struct {
	// Duration reads a duration other than -1.
	Duration func(string) (time.Duration, error)
	// Size reads a number of bytes.
	Size func(string) (int64, error)
}

// Parse reads the text of one value; a list is divided at commas. The error
// tells value and what is allowed, not the option's name.
func (opt *Option) Parse(text string, p Parsers) (any, error) {
	v, err := opt.parse(text, p)
	if err != nil {
		return nil, fmt.Errorf("value %s is not allowed: expecting %s", Quote(text), opt.Allowed)
	}
	return v, nil
}

func (opt *Option) parse(text string, p Parsers) (any, error) {
	switch opt.Kind {
	case KindBool:
		return parseBool(text)
	case KindInt:
		return parseInt(text)
	case KindSize:
		return p.Size(text)
	case KindFloat:
		return parseFloat(text)
	case KindDuration:
		if text == "-1" {
			return noLimit, nil
		}
		return p.Duration(text)
	case KindList:
		return strings.Split(text, ","), nil
	default:
		return text, nil
	}
}

var errNumber = errors.New("not a number")

func parseBool(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errRange
}

// parseInt reads plain decimal digits with an optional minus sign.
func parseInt(s string) (int, error) {
	if digits := strings.TrimPrefix(s, "-"); digits == "" || !onlyHas(digits, isDigit) {
		return 0, errNumber
	}
	return strconv.Atoi(s)
}

// parseFloat reads a plain decimal number: no exponent, no infinity.
func parseFloat(s string) (float64, error) {
	if !onlyHas(strings.TrimPrefix(s, "-"), func(c byte) bool { return isDigit(c) || c == '.' }) {
		return 0, errNumber
	}
	return strconv.ParseFloat(s, 64)
}

// addressParsers read the units of a failover address: milliseconds and bytes.
var addressParsers = Parsers{
	Duration: func(s string) (time.Duration, error) {
		ms, err := parseInt64(s)
		if err != nil || ms < math.MinInt64/int64(time.Millisecond) || ms > math.MaxInt64/int64(time.Millisecond) {
			return 0, errNumber
		}
		return time.Duration(ms) * time.Millisecond, nil
	},
	Size: parseInt64,
}

func parseInt64(s string) (int64, error) {
	if digits := strings.TrimPrefix(s, "-"); digits == "" || !onlyHas(digits, isDigit) {
		return 0, errNumber
	}
	return strconv.ParseInt(s, 10, 64)
}

// configText renders a value as a Caddyfile writes it.
func configText(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return durationText(v)
	case []string:
		return strings.Join(v, " ")
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

// addressText renders a value as a failover address writes it.
func addressText(v any) string {
	switch v := v.(type) {
	case time.Duration:
		if v == noLimit {
			return "-1"
		}
		return strconv.FormatInt(v.Milliseconds(), 10)
	case []string:
		return strings.Join(v, ",")
	default:
		return configText(v)
	}
}

// durationText is Duration.String without zero minutes and seconds at its end:
// "1m" instead of "1m0s".
func durationText(d time.Duration) string {
	switch d {
	case noLimit:
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

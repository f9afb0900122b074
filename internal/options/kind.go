// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is the type of an option's value.
type Kind uint8

// The kinds, with the Go types of their values.
const (
	Bool     Kind = iota // bool
	Int                  // int
	Size                 // int64, bytes
	Float                // float64
	Duration             // time.Duration; NoLimit is written -1
	String               // string
	Words                // string of words that a Caddyfile gives as arguments
	List                 // []string
	Pairs                // map[string]string; a line gives one key and its value
)

// NoLimit is the -1 that stands for "no limit", or off, in durations.
const NoLimit = time.Duration(-1)

// What rows of these kinds say in Allowed.
const (
	durationNoun = "a duration"
	sizeNoun     = "a number of bytes"
)

// Units are those of the place where an option is written.
type Units struct {
	// Duration reads a duration other than -1.
	Duration func(string) (time.Duration, error)
	// Size reads a number of bytes.
	Size func(string) (int64, error)
	// DurationText and SizeText name the units in errors, with examples.
	DurationText string
	SizeText     string
}

// The texts of [Units] where a configuration takes units.
const (
	DurationText = "a duration such as 500ms, 2s or 1m"
	SizeText     = "bytes such as 128KiB"
)

// JSONUnits name what stands in JSON.
var JSONUnits = Units{DurationText: DurationText, SizeText: "bytes such as 131072"}

var errSyntax = errors.New("not of this kind")

// countError says that a line has more or fewer values than its option takes.
type countError string

func (e countError) Error() string { return string(e) }

func (r *Row[S]) parse(text string, u Units) (any, error) {
	if r.Off != nil && text == "off" {
		return r.Off, nil
	}
	v, err := parse(r.Kind, text, u)
	if err != nil {
		return nil, errSyntax
	}
	return v, nil
}

func parse(kind Kind, text string, u Units) (any, error) {
	switch kind {
	case Bool:
		return ParseBool(text)
	case Int:
		return parseInt(text)
	case Size:
		return u.Size(text)
	case Float:
		return parseFloat(text)
	case Duration:
		if text == "-1" {
			return NoLimit, nil
		}
		return u.Duration(text)
	case List:
		return strings.Split(text, ","), nil
	default:
		return text, nil
	}
}

// parseArgs reads the arguments of a line.
func (r *Row[S]) parseArgs(args []string, u Units) (any, error) {
	switch {
	case r.Kind == Bool && len(args) == 0:
		return true, nil
	case len(args) == 0:
		return nil, countError("it has no value")
	case r.Kind == List:
		return args, nil
	case r.Kind == Words:
		return strings.Join(args, " "), nil
	case r.Kind == Pairs && len(args) == 2:
		return map[string]string{args[0]: args[1]}, nil
	case r.Kind == Pairs:
		return nil, countError(fmt.Sprintf("it has %d values instead of two", len(args)))
	case len(args) > 1:
		return nil, countError("it has several values")
	}
	return r.parse(args[0], u)
}

// joined is what two lines of one option say together.
func joined(before, more any) (any, error) {
	switch more := more.(type) {
	case []string:
		list, _ := before.([]string)
		return append(slices.Clip(list), more...), nil
	case map[string]string:
		all := make(map[string]string)
		if before, ok := before.(map[string]string); ok {
			maps.Copy(all, before)
		}
		for key, value := range more {
			if _, twice := all[key]; twice {
				return nil, fmt.Errorf("%s is already given, remove one", Quote(key))
			}
			all[key] = value
		}
		return all, nil
	}
	return more, nil
}

// ParseBool reads true or false, in lower case.
func ParseBool(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errSyntax
}

// parseInt reads plain decimal digits with an optional minus sign.
func parseInt(s string) (int, error) {
	if !digits(s, "") {
		return 0, errSyntax
	}
	return strconv.Atoi(s)
}

// ParseInt64 is the same for 64 bits on every system.
func ParseInt64(s string) (int64, error) {
	if !digits(s, "") {
		return 0, errSyntax
	}
	return strconv.ParseInt(s, 10, 64)
}

// parseFloat reads a plain decimal number: no exponent, no infinity.
func parseFloat(s string) (float64, error) {
	if !digits(s, ".") {
		return 0, errSyntax
	}
	return strconv.ParseFloat(s, 64)
}

// digits reports whether s is an optional minus sign, then digits and what besides has.
func digits(s, besides string) bool {
	s = strings.TrimPrefix(s, "-")
	return s != "" && strings.Trim(s, "0123456789"+besides) == ""
}

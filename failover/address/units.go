// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package address

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/internal/options"
)

// addressUnits are those of a failover address: milliseconds and bytes.
var addressUnits = options.Units{
	Duration: func(s string) (time.Duration, error) {
		ms, err := options.ParseInt64(s)
		if err != nil || ms < math.MinInt64/int64(time.Millisecond) || ms > math.MaxInt64/int64(time.Millisecond) {
			return 0, options.ErrRange
		}
		return time.Duration(ms) * time.Millisecond, nil
	},
	Size:         options.ParseInt64,
	DurationText: "whole milliseconds without a unit, such as 500",
	SizeText:     "bytes without a unit, such as 131072",
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
		return options.Text(v)
	}
}

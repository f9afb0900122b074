// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/module/internal/history"
)

// The charts are drawn in units of their own and stretched by the page: a step of the
// history is one wide.
const (
	chartWidth  = history.Slots
	chartHeight = 30
)

// chart is a line over the last hour.
type chart struct {
	// Label says what it shows, in words, for those who do not see it.
	Name, Label string
	// Now and Peak are the newest and the greatest value with their unit.
	Now, Peak string
	Kind      string
	Line      string // the points of a polyline
	Area      string // those of the polygon below it
}

// smooth is how many steps one point of a line stands for: a minute.
const smooth = 6

// fresh is how many of the newest points may be said to be now.
const fresh = 2

// draw makes a chart of values, of which those that are below 0 are not known.
func draw(name, kind string, values []float64, unit func(float64) string) *chart {
	peak, last, known := 0.0, 0.0, false
	for _, v := range values {
		if v >= 0 {
			peak, last, known = max(peak, v), v, true
		}
	}
	c := &chart{Name: name, Kind: kind, Now: "–", Peak: "–", Label: name + ": nothing is known of the last hour"}
	if !known {
		return c
	}
	c.Peak = unit(peak)
	now := "now is not known"
	if slices.ContainsFunc(values[max(0, len(values)-fresh):], func(v float64) bool { return v >= 0 }) {
		c.Now = unit(last)
		now = "now " + c.Now
	}
	c.Label = fmt.Sprintf("%s in the last hour: %s, at most %s", name, now, c.Peak)
	var line, area strings.Builder
	begun, width := false, float64(chartWidth)/float64(max(len(values)-1, 1))
	x := 0.0
	for i, v := range values {
		if v < 0 {
			continue
		}
		x = float64(i) * width
		y := chartHeight - 1.0
		if peak > 0 {
			y -= v / peak * (chartHeight - 2)
		}
		if !begun { // one point alone could not be seen
			fmt.Fprintf(&area, "%s,%d ", coordinate(max(x-width, 0)), chartHeight)
			fmt.Fprintf(&line, "%s,%s ", coordinate(max(x-width, 0)), coordinate(y))
			begun = true
		}
		fmt.Fprintf(&line, "%s,%s ", coordinate(x), coordinate(y))
	}
	c.Line = strings.TrimSpace(line.String())
	c.Area = area.String() + c.Line + fmt.Sprintf(" %s,%d", coordinate(x), chartHeight)
	return c
}

func coordinate(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

// gather adds up steps to the points of a line.
func gather(points []history.Point, value func(history.Point) float64) []float64 {
	var values []float64
	for len(points) >= smooth {
		var sum history.Point
		for _, p := range points[:smooth] {
			if p.Known {
				sum.Known = true
			}
			sum.Requests += p.Requests
			sum.Failures += p.Failures
			sum.Answers += p.Answers
			sum.Seconds += p.Seconds
		}
		v := -1.0
		if sum.Known {
			v = value(sum)
		}
		values = append(values, v)
		points = points[smooth:]
	}
	return values
}

const perMinute = float64(smooth) * float64(history.Period) / float64(time.Minute)

// charts are those of a pool or an upstream; nil where there is no history.
func charts(key history.Key, now time.Time) []*chart {
	points := broker.History().Points(key, now)
	if points == nil {
		return nil
	}
	list := []*chart{
		draw("Requests", "requests", gather(points, func(p history.Point) float64 { return float64(p.Requests) / perMinute }), perMin),
		draw("Failures", "failures", gather(points, func(p history.Point) float64 { return float64(p.Failures) / perMinute }), perMin),
	}
	if key.Upstream == "" {
		list = append(list, draw("Latency", "latency", gather(points, func(p history.Point) float64 {
			if p.Answers == 0 {
				return -1
			}
			return float64(p.Seconds / p.Answers)
		}), seconds))
	}
	return list
}

func perMin(v float64) string { return figure(v) + "/min" }

func seconds(v float64) string {
	switch {
	case v >= 1:
		return figure(v) + " s"
	default:
		return figure(v*1000) + " ms"
	}
}

// figure is a number with as many digits as say something.
func figure(v float64) string {
	switch {
	case v == 0 || v >= 100:
		return strconv.FormatFloat(math.Round(v), 'f', 0, 64)
	case v >= 10:
		return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
	default:
		return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', 2, 64), "0"), ".")
	}
}

// band is a part of a child's last hour, in seconds.
type band struct {
	From, Width string
	State       string
	Title       string
}

// bands are the states of a child over the last hour.
func bands(child string, now time.Time) []band {
	begin := now.Add(-history.Kept)
	states := broker.History().States(child, begin)
	var list []band
	for i, s := range states {
		from, to := s.Since, now
		if i+1 < len(states) {
			to = states[i+1].Since
		}
		if from.Before(begin) {
			from = begin
		}
		if s.State == "" || !to.After(from) {
			continue
		}
		// What is shorter than the eye can see is drawn all the same.
		width := max(to.Sub(from).Seconds(), 6)
		start := min(from.Sub(begin).Seconds(), history.Kept.Seconds()-width)
		list = append(list, band{
			coordinate(start), coordinate(width), s.State,
			fmt.Sprintf("%s from %s to %s", s.State, from.Format(time.TimeOnly), to.Format(time.TimeOnly)),
		})
	}
	return list
}

// laneLabel says what a child was like, for those who do not see it.
func laneLabel(list []band) string {
	if len(list) == 0 {
		return "nothing is known of the last hour"
	}
	text := make([]string, 0, len(list))
	for _, b := range list[max(0, len(list)-10):] {
		text = append(text, b.Title)
	}
	return strings.Join(text, "; ")
}

// laneWidth is how wide a lane is, in seconds.
func laneWidth() int { return int(history.Kept.Seconds()) }

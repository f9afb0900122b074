// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-broker/caddy-broker/internal/plain"
	"github.com/caddy-broker/caddy-broker/module/internal/overview"
)

func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [--address <interface>] [--json] [--watch]",
		Short: "Shows whether everything is all right, and the children and pools of a running broker",
		Long: `
Shows in its first line whether everything is all right and, if not, what is not; then
why, what happens next or what to do, and the children and pools.

Exits with 0 if everything is all right, 1 if something is not, 2 if no broker answers.

--watch shows it anew each second until interrupted. With --json each is one line then.
`,
		Args: cobra.NoArgs,
	}
	addressFlags(cmd)
	cmd.Flags().BoolP("json", "", false, "Print JSON")
	cmd.Flags().BoolP("watch", "w", false, "Show it anew each second")
	cmd.RunE = withArgs(cmdStatus)
	return cmd
}

func cmdStatus(fl caddycmd.Flags, _ []string) (int, error) {
	if fl.Bool("watch") {
		stream := statusStream{fl: fl}
		return watchStatus(os.Stdout, isTerminal(os.Stdout), func() string {
			var page strings.Builder
			body, err := stream.next()
			if err == nil {
				err = showStatus(&page, body, fl.Bool("json"), false)
			}
			if err != nil && !errors.Is(err, errNo) {
				page.WriteString(wrapped("", 0, plain.Line(err.Error(), maxError)))
			}
			return page.String()
		})
	}
	body, err := get(fl, "/broker/")
	if err != nil {
		return noBroker(err), err
	}
	if err := showStatus(os.Stdout, body, fl.Bool("json"), true); err != nil {
		return exitNo, err
	}
	return exitYes, nil
}

// showStatus shows an overview; errNo says that something is wrong.
func showStatus(w io.Writer, body []byte, asJSON, indent bool) error {
	var o overview.Overview
	err := read(body, &o)
	if err != nil {
		return err
	}
	if asJSON {
		err = writeBrief(w, body, indent)
	} else {
		err = drawStatus(w, &o, time.Now())
	}
	if err == nil && !o.AllRight {
		err = errNo
	}
	return err
}

// statusStream has the overviews that a broker sends each second.
type statusStream struct {
	fl    caddycmd.Flags
	body  io.ReadCloser // nil between two streams
	lines *bufio.Scanner
	asked bool
}

// next is the next overview. After the end of a stream, which a reload may bring, or an
// error it begins the next one, not at once.
func (s *statusStream) next() ([]byte, error) {
	for {
		if s.body == nil {
			if s.asked {
				<-time.After(time.Second)
			}
			s.asked = true
			body, err := open(s.fl, http.MethodGet, "/broker/?watch", nil)
			if err != nil {
				return nil, err
			}
			s.body, s.lines = body, bufio.NewScanner(body)
			s.lines.Buffer(nil, maxBody)
		}
		if s.lines.Scan() {
			return s.lines.Bytes(), nil
		}
		_ = s.body.Close()
		s.body = nil
	}
}

// watchStatus shows page after page: on a terminal in the place of what was there,
// elsewhere one after the other and without control codes.
func watchStatus(w io.Writer, terminal bool, next func() string) (int, error) {
	for {
		text := next()
		if terminal {
			text = "\x1b[H" + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J" // home, clear what is left of lines and below
		} else if strings.Count(text, "\n") > 1 {
			text += "\n"
		}
		if _, err := io.WriteString(w, text); err != nil {
			return exitNo, err
		}
	}
}

// isTerminal reports whether f is one.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// writeBrief writes the overview without what is long and has a command of its own:
// options of pools, and what processes said at their end.
func writeBrief(w io.Writer, body []byte, indent bool) error {
	var o map[string]any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&o); err != nil {
		return fmt.Errorf("reading the broker's answer: %w", err)
	}
	each(o["pools"], func(pool map[string]any) { delete(pool, "options") })
	each(o["children"], func(child map[string]any) {
		for _, name := range []string{"last_exit", "last_failure"} {
			if exit, ok := child[name].(map[string]any); ok {
				delete(exit, "stderr")
			}
		}
	})
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if indent {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(o); err != nil {
		return err
	}
	_, err := w.Write(plain.JSON(out.Bytes()))
	return err
}

// each calls f with the objects of a list.
func each(list any, f func(map[string]any)) {
	items, _ := list.([]any)
	for _, item := range items {
		if o, ok := item.(map[string]any); ok {
			f(o)
		}
	}
}

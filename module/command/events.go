// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/caddy-broker/caddy-broker/internal/plain"
)

const (
	// eventsAgain is how long after the end of a stream the next one is asked for.
	eventsAgain = time.Second
	// maxEvent bounds one line of a stream, in bytes.
	maxEvent = 1 << 20
)

func eventsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events [--json]",
		Short: "Shows every event of a running broker as it happens",
		Long: `
Shows every event of a running broker as it happens, one a line, until interrupted or
until the broker ends. After a change of the broker's own options it goes on with the
next stream, and misses nothing.
`,
		Args: cobra.NoArgs,
	}
	addressFlags(cmd)
	cmd.Flags().BoolP("json", "", false, "Print JSON, one object a line")
	cmd.RunE = withArgs(func(fl caddycmd.Flags, _ []string) (int, error) {
		last := ""
		for {
			header := make(http.Header)
			if last != "" {
				header.Set("Last-Event-ID", last)
			}
			stream, err := openWith(fl, http.MethodGet, "/broker/events", header, nil)
			if err != nil {
				return caddy.ExitCodeFailedStartup, err
			}
			last, err = writeEvents(os.Stdout, stream, fl.Bool("json"), last)
			_ = stream.Close()
			if err != nil {
				return caddy.ExitCodeFailedStartup, err
			}
			<-time.After(eventsAgain)
		}
	})
	return cmd
}

// writeEvents writes the events of a stream, until that ends, and returns the id of the
// last one; last is that of the one before.
func writeEvents(w io.Writer, stream io.Reader, asJSON bool, last string) (string, error) {
	lines := bufio.NewScanner(stream)
	lines.Buffer(nil, maxEvent)
	name := ""
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			last = value
		case "event":
			name = value
		case "data":
			if err := writeEvent(w, name, value, asJSON); err != nil {
				return last, err
			}
		}
	}
	return last, nil // the stream is over, however that came
}

func writeEvent(w io.Writer, name, data string, asJSON bool) error {
	if asJSON {
		line, err := json.Marshal(map[string]any{"event": name, "data": json.RawMessage(data)})
		if err != nil {
			return fmt.Errorf("reading event %q: %w", name, err)
		}
		_, err = fmt.Fprintf(w, "%s\n", plain.JSON(line))
		return err
	}
	var values map[string]any
	if err := json.Unmarshal([]byte(data), &values); err != nil {
		return fmt.Errorf("reading event %q: %w", name, err)
	}
	var text strings.Builder
	if at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(values["time"])); err == nil {
		text.WriteString(at.Local().Format(time.DateTime) + "  ")
		delete(values, "time")
	}
	text.WriteString(name)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		value := fmt.Sprint(values[key])
		if strings.ContainsAny(value, " =") {
			value = fmt.Sprintf("%q", value)
		}
		text.WriteString(" " + key + "=" + value)
	}
	_, err := fmt.Fprintln(w, plain.Line(text.String(), maxError))
	return err
}

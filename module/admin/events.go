// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-broker/caddy-broker/module/broker"
)

// eventsAlive is how often a comment is sent when nothing happens, so that a
// connection whose other end is gone is noticed.
const eventsAlive = 15 * time.Second

// adminEvents streams every event as server-sent events.
func adminEvents(w http.ResponseWriter, r *http.Request) error {
	if err := method(r, http.MethodGet); err != nil {
		return err
	}
	// The stream ends with the configuration that began it, so that a reload's
	// old admin endpoint can close.
	events, over, end := broker.Watch()
	defer end()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	//nolint:bodyclose // there is no body
	control := http.NewResponseController(w)
	w.WriteHeader(http.StatusOK)
	if err := control.Flush(); err != nil {
		return nil
	}
	alive := time.NewTicker(eventsAlive)
	defer alive.Stop()
	for {
		var err error
		select {
		case <-r.Context().Done():
			return nil
		case <-over:
			return nil
		case <-alive.C:
			_, err = fmt.Fprint(w, ": alive\n\n")
		case e, ok := <-events:
			if !ok {
				return nil // too slow
			}
			data, jsonErr := json.Marshal(e.Data)
			if jsonErr != nil {
				continue
			}
			_, err = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", e.Name, data)
		}
		if err != nil || control.Flush() != nil {
			return nil //nolint:nilerr // the watcher has left
		}
	}
}

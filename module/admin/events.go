// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-broker/caddy-broker/module/broker"
)

// eventsAlive is how often a comment is sent when nothing happens, so that a
// connection whose other end is gone is noticed.
const eventsAlive = 15 * time.Second

// adminEvents streams every event as server-sent events. A client that was cut off says in
// Last-Event-ID which one it had last, and gets those that it has missed, as far as they
// are remembered.
func adminEvents(w http.ResponseWriter, r *http.Request) error {
	if err := method(r, http.MethodGet); err != nil {
		return err
	}
	var after int64
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		id, err := strconv.ParseInt(last, 10, 64)
		if err != nil || id < 0 {
			return apiError{http.StatusBadRequest, fmt.Errorf("header Last-Event-ID: value %q is not allowed: expecting the id of an event", last)}
		}
		after = id
	}
	// The stream ends with the configuration that began it, so that a reload's
	// old admin endpoint can close.
	events, over, end := broker.Watch(after)
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
			data := map[string]any{"time": e.Time}
			maps.Copy(data, e.Data)
			text, jsonErr := json.Marshal(data)
			if jsonErr != nil {
				continue
			}
			_, err = fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Name, text)
		}
		if err != nil || control.Flush() != nil {
			return nil //nolint:nilerr // the watcher has left
		}
	}
}

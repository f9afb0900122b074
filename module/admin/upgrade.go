// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/caddy-broker/caddy-broker/module/broker"
	"github.com/caddy-broker/caddy-broker/supervisor"
)

// adminUpgrade says which program runs, or lets another one take its place. That one is
// where this one was: no request names a program to execute. The answer comes before
// the execution, which ends the connection; how it went is said by the next GET.
func adminUpgrade(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodGet {
		return answer(w, http.StatusOK, broker.Program())
	}
	if err := method(r, http.MethodGet, http.MethodPost); err != nil {
		return err
	}
	answered := false
	err := broker.Upgrade(context.Background(), func() {
		answered = true
		body, err := json.Marshal(broker.Program())
		if err != nil {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body))) // the handler does not return
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write(body)
		_ = http.NewResponseController(w).Flush()
	})
	switch {
	case answered:
		return nil
	case errors.Is(err, supervisor.ErrHandingOver), errors.Is(err, supervisor.ErrUnsettled):
		return apiError{http.StatusConflict, err}
	default:
		return apiError{http.StatusUnprocessableEntity, err}
	}
}

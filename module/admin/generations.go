// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/caddy-broker/caddy-broker/module/broker"
)

// adminGenerations says which configurations have served, or lets one of them serve again.
func adminGenerations(w http.ResponseWriter, r *http.Request, resource string) error {
	if resource == "generations" {
		if err := method(r, http.MethodGet); err != nil {
			return err
		}
		return answer(w, http.StatusOK, broker.Generations())
	}
	if err := method(r, http.MethodPost); err != nil {
		return err
	}
	if broker.Shown() == nil {
		return failure(http.StatusConflict, "this process supervises nothing, so that there are no generations to go back to")
	}
	number := 0
	if text := r.URL.Query().Get("to"); text != "" {
		var err error
		if number, err = strconv.Atoi(text); err != nil || number < 1 {
			return failure(http.StatusBadRequest, "generation %q: expecting a number from the list under /broker/generations", text)
		}
	}
	to, from, err := broker.Rollback(context.WithoutCancel(r.Context()), number, operator(r))
	switch {
	case errors.Is(err, broker.ErrNoGeneration):
		return apiError{http.StatusNotFound, err}
	case err != nil:
		return apiError{http.StatusUnprocessableEntity, err}
	}
	return answer(w, http.StatusOK, map[string]int{"generation": to, "rolled_back": from})
}

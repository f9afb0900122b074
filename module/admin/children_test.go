// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/caddy-broker/caddy-broker/supervisor"
)

// What the state of a child does not allow is a conflict; what its processes could not do
// is not.
func TestConflicts(t *testing.T) {
	t.Parallel()
	for want, errs := range map[int][]error{
		http.StatusConflict:   {supervisor.ErrProbation, supervisor.ErrRolledBack, supervisor.ErrHandingOver, supervisor.ErrStopped},
		http.StatusBadGateway: {&supervisor.ProofError{Child: "default"}},
	} {
		for _, err := range errs {
			got, ok := errors.AsType[apiError](conflict(fmt.Errorf("replacing child: %w", err)))
			if !ok || got.status != want {
				t.Errorf("%v has status %d, want %d", err, got.status, want)
			}
		}
	}
}

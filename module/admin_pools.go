// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package module

import "net/http"

func adminPools(*http.Request) (any, error) { return []any{}, nil }

func adminPool(w http.ResponseWriter, r *http.Request, parts []string) error {
	return failure(http.StatusNotFound, "no pools")
}

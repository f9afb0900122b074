// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"

	"github.com/caddy-broker/caddy-broker/module/internal/memory"
)

// divideMemory puts into the spec of a child what its processes are told of memory. All
// processes of all children that run Caddy have the same part; what other programs take
// is not known.
func divideMemory(specs map[string]*childSpec, name string, spec *childSpec) (err error) {
	if spec.External {
		return nil
	}
	processes := spec.Processes()
	for other, s := range specs {
		if other != name && !s.External {
			processes += s.Processes()
		}
	}
	p := memory.Policy{Max: spec.MaxMemory, GC: spec.gc}
	p.Share, p.Whole = memory.Divide(memory.All(), processes)
	spec.Told, err = json.Marshal(p)
	return err
}

// value is what p points to, or the zero value.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package supervisor

import (
	"context"
	"errors"

	"github.com/caddy-broker/caddy-broker/supervisor/sockets"
)

// HandedSockets are none on this system.
type HandedSockets = []struct{}

type handedWire struct{}

// Resume has nothing to go on with: on this system no program takes another's place.
func (s *Supervisor) Resume(context.Context, *Spec) error { return errors.ErrUnsupported }

func (s *Supervisor) adopt(*HandedProcess) input { return nil }

func holderOf(*Handover) *sockets.Holder { return sockets.New() }

// HandOver is not supported on this system.
func (s *Supervisor) HandOver(context.Context) (*Handover, func(), error) {
	return nil, nil, errors.ErrUnsupported
}

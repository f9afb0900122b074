// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"context"
	"errors"
	"net"

	"github.com/caddy-broker/caddy-broker/internal/plain"
)

// Failure is an error that the carrier met, with all that the machine wants to know
// of it: it asks the error nothing, because the pool is locked then.
type Failure struct {
	Err  error
	text string
	Late bool // no answer came in time
}

// Note asks an error; nil when there is none. The pool is not locked.
func Note(err error) *Failure {
	if err == nil {
		return nil
	}
	var t net.Error
	late := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
	return &Failure{Err: err, text: plain.Line(err.Error(), maxText), Late: late}
}

// maxText bounds what is kept of an error's text, in bytes: a backend, or its
// certificate, has a say in it.
const maxText = 1 << 10

// Told is a failure of which only a text is known.
func Told(text string) *Failure {
	text = plain.Line(text, maxText)
	return &Failure{Err: errors.New(text), text: text}
}

// String is the error's text, and empty for none.
func (f *Failure) String() string {
	if f == nil {
		return ""
	}
	return f.text
}

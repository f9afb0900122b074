// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package failover

import (
	"context"
	"errors"
	"net"

	"github.com/caddy-broker/caddy-broker/internal/plain"
)

// failure is an error that the carrier met, with all that the machine wants to know
// of it: it asks the error nothing, because the pool is locked then.
type failure struct {
	err  error
	text string
	late bool // no answer came in time
}

// note asks an error; nil when there is none. The pool is not locked.
func note(err error) *failure {
	if err == nil {
		return nil
	}
	var t net.Error
	late := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout()
	return &failure{err: err, text: plain.Line(err.Error(), maxText), late: late}
}

// maxText bounds what is kept of an error's text, in bytes: a backend, or its
// certificate, has a say in it.
const maxText = 1 << 10

// told is a failure of which only a text is known.
func told(text string) *failure {
	text = plain.Line(text, maxText)
	return &failure{err: errors.New(text), text: text}
}

// String is the error's text, and empty for none.
func (f *failure) String() string {
	if f == nil {
		return ""
	}
	return f.text
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package assumed

import (
	"reflect"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// PutOffLog makes a reverse proxy write the request of a round trip as JSON only when a line
// about it is logged. Otherwise it does that for every request, for a line of the level DEBUG
// that hardly any configuration asks for: a twentieth of the processor time of a request.
//
// It is to be called while the handler is provisioned. A handler without such a logger stays
// as it is, and false is returned.
func PutOffLog(h *reverseproxy.Handler) bool {
	field := reflect.ValueOf(h).Elem().FieldByName("logger")
	if !field.IsValid() || field.Type() != reflect.TypeFor[*zap.Logger]() {
		return false
	}
	logger := reflect.NewAt(field.Type(), field.Addr().UnsafePointer()).Interface().(**zap.Logger)
	if *logger == nil {
		return false
	}
	*logger = (*logger).WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core { return lazyCore{c} }))
	return true
}

// lazyCore keeps the fields of the loggers that are derived from it as they are, until one of
// them logs something.
type lazyCore struct{ zapcore.Core }

// With returns a core that has these fields in each of its lines.
func (c lazyCore) With(fields []zapcore.Field) zapcore.Core {
	return zapcore.NewLazyWith(c.Core, fields)
}

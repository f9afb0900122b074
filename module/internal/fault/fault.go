// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"syscall"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
)

// The kinds of faults.
var (
	Refused      = proxystatus.Fault{Error: "connection_refused", Status: http.StatusBadGateway}
	Unroutable   = proxystatus.Fault{Error: "destination_ip_unroutable", Status: http.StatusBadGateway}
	DNS          = proxystatus.Fault{Error: "dns_error", Status: http.StatusBadGateway}
	DNSTimeout   = proxystatus.Fault{Error: "dns_timeout", Status: http.StatusGatewayTimeout}
	DialTimeout  = proxystatus.Fault{Error: "connection_timeout", Status: http.StatusGatewayTimeout}
	Certificate  = proxystatus.Fault{Error: "tls_certificate_error", Status: http.StatusBadGateway, Incurable: true}
	TLSAlert     = proxystatus.Fault{Error: "tls_alert_received", Status: http.StatusBadGateway, Incurable: true}
	TLS          = proxystatus.Fault{Error: "tls_protocol_error", Status: http.StatusBadGateway, Incurable: true}
	Terminated   = proxystatus.Fault{Error: "connection_terminated", Status: http.StatusBadGateway}
	Protocol     = proxystatus.Fault{Error: "http_protocol_error", Status: http.StatusBadGateway}
	HeaderSize   = proxystatus.Fault{Error: "http_response_header_section_size", Status: http.StatusBadGateway}
	NoAnswer     = proxystatus.Fault{Error: "http_response_timeout", Status: http.StatusGatewayTimeout}
	ReadTimeout  = proxystatus.Fault{Error: "connection_read_timeout", Status: http.StatusGatewayTimeout}
	WriteTimeout = proxystatus.Fault{Error: "connection_write_timeout", Status: http.StatusGatewayTimeout}
	Local        = proxystatus.Fault{Error: "proxy_internal_error", Status: http.StatusServiceUnavailable}
	Unavailable  = proxystatus.Fault{Error: "destination_unavailable", Status: http.StatusServiceUnavailable}
	// Request: the client left, or its body could not be read.
	Request = proxystatus.Fault{Error: "http_request_error", Status: http.StatusBadRequest}
	// Unsendable: HTTP, or a limit of the backend, does not allow to send it.
	Unsendable = proxystatus.Fault{Error: "http_request_error", Status: http.StatusBadGateway}
)

// The reasons for which an attempt is ended from our side.
var (
	ErrConnectionTimeout = errors.New("no connection within connection_timeout")
	ErrQueued            = errors.New("no connection within connection_timeout: too many are being made")
	ErrSoTimeout         = errors.New("no response header within so_timeout")
	ErrHung              = errors.New("backend is hung: it answers neither requests nor pings")
	ErrAbandoned         = errors.New("dialing was given up: other requests found the backend down or slow")
	ErrNoTime            = errors.New("no connection within the time that the request has")
	ErrSecondConnection  = errors.New("connection was lost after the request had been written")
	ErrBodyNotKept       = errors.New("request body was read in part and not kept: it cannot be sent from its beginning")
)

// Dial says what an error is that came before there was a connection.
func Dial(err error) proxystatus.Fault {
	var dns *net.DNSError
	switch {
	case IsLocal(err):
		return Local
	case errors.Is(err, ErrConnectionTimeout):
		return DialTimeout
	case errors.As(err, &dns):
		if dns.IsTimeout {
			return DNSTimeout
		}
		return DNS
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return Unroutable
	}
	if k, ok := tlsFault(err); ok {
		return k
	}
	if IsTimeout(err) {
		return DialTimeout
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Terminated // in the middle of a handshake
	}
	return Refused
}

// tlsFault recognises what a TLS handshake fails with.
func tlsFault(err error) (proxystatus.Fault, bool) {
	var (
		verification *tls.CertificateVerificationError
		alert        tls.AlertError
		record       tls.RecordHeaderError
		unknown      x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &verification), errors.As(err, &unknown), errors.As(err, &hostname), errors.As(err, &invalid):
		return Certificate, true
	case errors.As(err, &alert), assumed.TLSAlert(err):
		return TLSAlert, true
	case errors.As(err, &record), assumed.TLSError(err):
		return TLS, true
	}
	return proxystatus.Fault{}, false
}

// Loss says what an error is that came after there was a connection and
// before the response was there.
func Loss(err error) proxystatus.Fault {
	var op *net.OpError
	switch {
	case errors.Is(err, ErrHung), errors.Is(err, ErrSoTimeout):
		return NoAnswer
	case errors.Is(err, os.ErrDeadlineExceeded) && errors.As(err, &op):
		// The transport's read_timeout and write_timeout.
		if op.Op == "write" {
			return WriteTimeout
		}
		return ReadTimeout
	case errors.Is(err, context.DeadlineExceeded):
		return NoAnswer // the transport's response_header_timeout
	case assumed.HeaderTooLarge(err):
		return HeaderSize
	case assumed.Malformed(err):
		return Protocol
	}
	if k, ok := tlsFault(err); ok {
		return k
	}
	return Terminated
}

// IsOwnDeadline reports whether a limit of ours, not the backend, ended an attempt
// that had a connection.
func IsOwnDeadline(err error) bool {
	return errors.Is(err, ErrSoTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// IsLoss reports whether an error that ended an HTTP/2 attempt, before anything
// was written, is one of the connection. Any other one is the request's.
func IsLoss(err error) bool {
	var (
		op    net.Error
		errno syscall.Errno
	)
	if errors.As(err, &op) || errors.As(err, &errno) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, ErrSecondConnection) || errors.Is(err, ErrBodyNotKept) ||
		errors.Is(err, context.Canceled) {
		return true
	}
	if _, ok := tlsFault(err); ok {
		return true
	}
	return assumed.LostHTTP2(err)
}

// IsTimeout reports whether an error says that time is over.
func IsTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// IsAnswer reports whether err is an answer that a transport gives by itself,
// such as 411 for a body without a length, which FastCGI cannot carry. No backend
// has seen the request.
func IsAnswer(err error) bool {
	var answer caddyhttp.HandlerError
	return errors.As(err, &answer) && answer.StatusCode > 0
}

// IsLocalPath reports whether a transport failed at a path of this machine, such as
// the root folder that FastCGI resolves.
func IsLocalPath(err error) bool {
	var path *fs.PathError
	return errors.As(err, &path)
}

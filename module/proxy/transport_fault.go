// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"

	"github.com/caddy-broker/caddy-broker/module/internal/assumed"
	"github.com/caddy-broker/caddy-broker/module/internal/proxystatus"
)

// The kinds of faults.
var (
	faultRefused     = proxystatus.Fault{Error: "connection_refused", Status: http.StatusBadGateway}
	faultUnroutable  = proxystatus.Fault{Error: "destination_ip_unroutable", Status: http.StatusBadGateway}
	faultDNS         = proxystatus.Fault{Error: "dns_error", Status: http.StatusBadGateway}
	faultDNSTimeout  = proxystatus.Fault{Error: "dns_timeout", Status: http.StatusGatewayTimeout}
	faultDialTimeout = proxystatus.Fault{Error: "connection_timeout", Status: http.StatusGatewayTimeout}
	faultCertificate = proxystatus.Fault{Error: "tls_certificate_error", Status: http.StatusBadGateway, Incurable: true}
	faultTLSAlert    = proxystatus.Fault{Error: "tls_alert_received", Status: http.StatusBadGateway, Incurable: true}
	faultTLS         = proxystatus.Fault{Error: "tls_protocol_error", Status: http.StatusBadGateway, Incurable: true}
	faultTerminated  = proxystatus.Fault{Error: "connection_terminated", Status: http.StatusBadGateway}
	faultProtocol    = proxystatus.Fault{Error: "http_protocol_error", Status: http.StatusBadGateway}
	faultHeaderSize  = proxystatus.Fault{Error: "http_response_header_section_size", Status: http.StatusBadGateway}
	faultNoAnswer    = proxystatus.Fault{Error: "http_response_timeout", Status: http.StatusGatewayTimeout}
	faultReadTime    = proxystatus.Fault{Error: "connection_read_timeout", Status: http.StatusGatewayTimeout}
	faultWriteTime   = proxystatus.Fault{Error: "connection_write_timeout", Status: http.StatusGatewayTimeout}
	faultLocal       = proxystatus.Fault{Error: "proxy_internal_error", Status: http.StatusServiceUnavailable}
	faultUnavailable = proxystatus.Fault{Error: "destination_unavailable", Status: http.StatusServiceUnavailable}
	// faultRequest: the client left, or its body could not be read.
	faultRequest = proxystatus.Fault{Error: "http_request_error", Status: http.StatusBadRequest}
	// faultUnsendable: HTTP, or a limit of the backend, does not allow to send it.
	faultUnsendable = proxystatus.Fault{Error: "http_request_error", Status: http.StatusBadGateway}
)

// The reasons for which an attempt is ended from our side.
var (
	errConnectionTimeout = errors.New("no connection within connection_timeout")
	errQueued            = errors.New("no connection within connection_timeout: too many are being made")
	errSoTimeout         = errors.New("no response header within so_timeout")
	errHung              = errors.New("backend is hung: it answers neither requests nor pings")
	errAbandoned         = errors.New("dialing was given up: other requests found the backend down or slow")
	errNoTime            = errors.New("no connection within the time that the request has")
	errSecondConnection  = errors.New("connection was lost after the request had been written")
	errBodyNotKept       = errors.New("request body was read in part and not kept: it cannot be sent from its beginning")
)

// dialFault says what an error is that came before there was a connection.
func dialFault(err error) proxystatus.Fault {
	var dns *net.DNSError
	switch {
	case isLocalFault(err):
		return faultLocal
	case errors.Is(err, errConnectionTimeout):
		return faultDialTimeout
	case errors.As(err, &dns):
		if dns.IsTimeout {
			return faultDNSTimeout
		}
		return faultDNS
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return faultUnroutable
	}
	if k, ok := tlsFault(err); ok {
		return k
	}
	if isTimeout(err) {
		return faultDialTimeout
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return faultTerminated // in the middle of a handshake
	}
	return faultRefused
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
		return faultCertificate, true
	case errors.As(err, &alert):
		return faultTLSAlert, true
	case errors.As(err, &record), assumed.TLSError(err):
		return faultTLS, true
	}
	return proxystatus.Fault{}, false
}

// lossFault says what an error is that came after there was a connection and
// before the response was there.
func lossFault(err error) proxystatus.Fault {
	var op *net.OpError
	switch {
	case errors.Is(err, errHung), errors.Is(err, errSoTimeout):
		return faultNoAnswer
	case errors.Is(err, os.ErrDeadlineExceeded) && errors.As(err, &op):
		// The transport's read_timeout and write_timeout.
		if op.Op == "write" {
			return faultWriteTime
		}
		return faultReadTime
	case errors.Is(err, context.DeadlineExceeded):
		return faultNoAnswer // the transport's response_header_timeout
	case assumed.HeaderTooLarge(err):
		return faultHeaderSize
	case assumed.Malformed(err):
		return faultProtocol
	}
	if k, ok := tlsFault(err); ok {
		return k
	}
	return faultTerminated
}

// isOwnDeadline reports whether a limit of ours, not the backend, ended an attempt
// that had a connection.
func isOwnDeadline(err error) bool {
	return errors.Is(err, errSoTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// isLoss reports whether an error that ended an HTTP/2 attempt, before anything
// was written, is one of the connection. Any other one is the request's.
func isLoss(err error) bool {
	var (
		op    net.Error
		errno syscall.Errno
	)
	if errors.As(err, &op) || errors.As(err, &errno) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, errSecondConnection) || errors.Is(err, errBodyNotKept) ||
		errors.Is(err, context.Canceled) {
		return true
	}
	if _, ok := tlsFault(err); ok {
		return true
	}
	return assumed.LostHTTP2(err)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

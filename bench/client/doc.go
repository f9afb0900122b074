// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package client sends what the comparison measures: single requests over HTTP/2
// with a fate each, and as many requests as a number of connections can carry
// over HTTP/1.1, TLS and HTTP/2.
//
// Nothing is ever sent twice behind the measurement's back. The one repetition
// there is, of HTTP/2 streams that a server says it did not process, is what
// RFC 9113 asks of clients, and is counted. Its protocol code knows what the
// proxies under test answer to small requests, and is no general client.
package client

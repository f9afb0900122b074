// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package overview is what a broker says of itself as a whole, and the answer to the
// question whether everything is all right, in sentences.
//
// Its guarantee: [Overview.Judge] depends on nothing but the overview and the time, so
// that the command line, the admin API and whatever else shows a broker say the same of
// it. It asks for nothing and draws nothing.
package overview

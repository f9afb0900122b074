// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package control is the connection between a supervisor and the child process it
// runs: its lifeline, and what the two say to each other.
//
// The parent calls [Attach] before it starts the program, and then sends and
// receives each [Message] with the [Wire]. The child calls [Connect], which takes the
// connection up and returns the [Hello] that came first, and runs [Link.Serve]:
//
//	link, hello, err := control.Connect()
//	if err != nil {
//		return err // ErrNoParent: this process is not supervised
//	}
//	go link.Serve(control.Orders{Unbind: closeSockets, Activate: accept, Drain: drain, Stop: stop, Orphaned: exit})
//	// Load hello.Config; link.Listen lends a socket.
//	err = link.Ready()
//
// A message is one line of JSON. Messages arrive whole and in order, and files arrive
// with the message that they were sent with. When either process ends, however it
// does, the other one learns of it at once. What a child sends is data that may be
// broken or hostile: its messages are bounded, and no descriptor is taken from it.
//
// The two sides may be of different versions, since a binary can be replaced while it
// runs. Fields and kinds of messages that a side does not know are skipped, and what
// is not said has its zero value: so a new field must do nothing when it is zero, and
// a new kind must not be needed for an answer. A known field keeps its type for ever: one
// that cannot be decoded ends the connection.
//
// On systems that are not Unix, standard input and output carry the messages, and no
// files can be passed.
package control

// Env is the environment variable that tells a child where its control connection is.
// [Connect] removes it; it must not reach any other process.
const Env = "CADDY_BROKER_CONTROL"

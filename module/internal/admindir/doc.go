// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

// Package admindir makes the directories in which children have the sockets of their private
// admin endpoints.
//
// Its guarantee: no other user of the system can enter one, and what a broker leaves that was
// killed is removed by the next one. It opens no socket.
package admindir

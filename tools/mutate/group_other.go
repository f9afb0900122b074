// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package main

import "os/exec"

func ownGroup(*exec.Cmd) {}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
)

// env names the descriptor of the state to go on with; envTrial that of one which this
// program shall only say about whether it could.
const (
	env      = "CADDY_BROKER_HANDOVER"
	envTrial = "CADDY_BROKER_TRIAL"
)

// received is what this program was given, if it has taken another one's place. It is
// taken before anything else is started, which must not inherit it.
var received = receive()

func receive() *State {
	file := fileIn(env)
	if file == nil {
		return nil
	}
	defer file.Close()
	s, err := read(file)
	if err != nil { // the trial of this program has read it
		fmt.Fprintln(os.Stderr, "caddy-broker:", err)
		return nil
	}
	s.keep()
	return s
}

// fileIn is the file whose descriptor a variable of the environment has, which is
// removed there.
func fileIn(name string) *os.File {
	value, ok := os.LookupEnv(name)
	_ = os.Unsetenv(name)
	fd, err := strconv.Atoi(value)
	if !ok || err != nil || fd < 3 {
		return nil
	}
	return os.NewFile(uintptr(fd), "handover")
}

// Received is what the program before has handed over; nil if this one was started.
func Received() *State { return received }

var configTaken atomic.Bool

// TakeConfig returns the parent's configuration that was handed over, once.
func TakeConfig() []byte {
	if received == nil || configTaken.Swap(true) {
		return nil
	}
	return received.Config
}

// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build lockorder

package lockorder

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
)

// holder is a goroutine, by its number.
type holder string

// held is a lock that a goroutine holds.
type held struct {
	lock  any
	class string
	stack []uintptr // where it was taken
}

// holders has the locks of each goroutine, in the order in which they were taken.
var holders = struct {
	sync.Mutex
	locks map[holder][]held
}{locks: map[holder][]held{}}

// caller is the calling goroutine. The runtime tells its number only in the first
// line of a stack: "goroutine 7 [running]:".
func caller() holder {
	var line [64]byte
	text, _, _ := bytes.Cut(line[len("goroutine "):runtime.Stack(line[:], false)], []byte(" "))
	return holder(text)
}

// wait ends the process unless the goroutine may wait for the lock.
func (g holder) wait(lock any, class string) {
	holders.Lock()
	defer holders.Unlock()
	for _, h := range holders.locks[g] {
		if h.lock == lock || !follows(Order, h.class, class) {
			end(h, class)
		}
	}
}

// end is how the process ends. A panic in the goroutine of a handler would be
// recovered there, so another goroutine panics, and this one goes no further.
func end(h held, class string) {
	text := fmt.Sprintf("lockorder: %s is taken while %s is held, which the order of package lockorder does not have\n\n"+
		"%s is taken here:\n%s\n%s was taken here:\n%s", class, h.class, class, debug.Stack(), h.class, frames(h.stack))
	go func() { panic(text) }()
	select {}
}

func (g holder) hold(lock any, class string) {
	stack := make([]uintptr, 32)
	stack = stack[:runtime.Callers(3, stack)]
	holders.Lock()
	defer holders.Unlock()
	holders.locks[g] = append(holders.locks[g], held{lock, class, stack})
}

func (g holder) release(lock any) {
	holders.Lock()
	defer holders.Unlock()
	locks := slices.DeleteFunc(holders.locks[g], func(h held) bool { return h.lock == lock })
	if len(locks) > 0 {
		holders.locks[g] = locks
	} else {
		delete(holders.locks, g)
	}
}

func frames(stack []uintptr) string {
	var text bytes.Buffer
	for walk := runtime.CallersFrames(stack); ; {
		frame, more := walk.Next()
		fmt.Fprintf(&text, "%s\n\t%s:%d\n", frame.Function, frame.File, frame.Line)
		if !more {
			return text.String()
		}
	}
}

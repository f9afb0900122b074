// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build !unix

package control

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestWhatIsPrintedIsNoMessage: what a child prints comes out of its standard error, and
// what it says to its parent stays what it says.
func TestWhatIsPrintedIsNoMessage(t *testing.T) {
	if _, ok := os.LookupEnv(Env); ok {
		link, _, err := Connect()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(`{"kind":"failed","error":"a line of a log"}`)
		if line, err := bufio.NewReader(os.Stdin).ReadString('\n'); err == nil {
			t.Errorf("read %q, which was an order", line)
		}
		if err := link.Beat(); err != nil {
			t.Fatal(err)
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = os.Environ()
	var printed bytes.Buffer
	cmd.Stderr = &printed
	w, release, err := Attach(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	err = cmd.Start()
	release()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []Message{{Kind: KindHello}, {Kind: KindActivate}} {
		if err := w.Send(m); err != nil {
			t.Error(err)
		}
	}
	if m, err := w.Recv(); err != nil || m.Kind != KindBeat {
		t.Errorf("the first message is %+v, %v", m, err)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(printed.String(), "a line of a log") {
		t.Errorf("%v; it printed %q", err, &printed)
	}
}

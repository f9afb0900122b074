// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package supervisor

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	ossignal "os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// envProgram tells an external program under test what to do.
const envProgram = "SUPERVISOR_TEST_PROGRAM"

// program is what an external program under test does.
type program struct {
	Report string   `json:",omitempty"` // a file for what it sees
	Accept int      `json:",omitempty"` // answers on that many of its sockets
	Notify []string `json:",omitempty"` // sends these
	Exit   int      `json:",omitempty"` // then exits with this
	Daemon string   `json:",omitempty"` // leaves a daemon with its standard error and writes its id to this file
	Worker string   `json:",omitempty"` // has a worker that finishes its work, writing this file, when told to end
	Defies bool     `json:",omitempty"` // its worker does not do what it is told
}

// seen is what an external program saw of its surroundings.
type seen struct {
	Pid       int
	UID, GID  int
	Groups    []int
	Args, Env []string
	Listening []string // the addresses of its sockets
	Blocking  []bool
}

func externalMain() int {
	var p program
	if err := json.Unmarshal([]byte(os.Getenv(envProgram)), &p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s := seen{Pid: os.Getpid(), UID: os.Getuid(), GID: os.Getgid(), Args: os.Args, Env: os.Environ()}
	s.Groups, _ = os.Getgroups()
	count, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	for fd := 3; fd < 3+count; fd++ {
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		s.Blocking = append(s.Blocking, err == nil && flags&unix.O_NONBLOCK == 0)
		file := os.NewFile(uintptr(fd), "listen")
		ln, err := net.FileListener(file)
		if err != nil {
			s.Listening = append(s.Listening, err.Error())
			continue
		}
		s.Listening = append(s.Listening, ln.Addr().String())
		if fd < 3+p.Accept {
			go func() {
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					fmt.Fprintln(conn, os.Getpid())
					_ = conn.Close()
				}
			}()
		}
	}
	if p.Report != "" {
		text, _ := json.Marshal(s)
		_ = os.WriteFile(p.Report+".new", text, 0o600)
		_ = os.Rename(p.Report+".new", p.Report)
	}
	for _, message := range p.Notify {
		conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		_, _ = conn.Write([]byte(message))
		_ = conn.Close()
	}
	if p.Exit > 0 {
		return p.Exit
	}
	if p.Daemon != "" {
		self, _ := os.Executable()
		daemon, err := os.StartProcess(self, os.Args, &os.ProcAttr{
			Env: []string{envTest + "=sleeper"}, Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{Setsid: true},
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		_ = os.WriteFile(p.Daemon+".new", []byte(strconv.Itoa(daemon.Pid)), 0o600)
		_ = os.Rename(p.Daemon+".new", p.Daemon)
	}
	if p.Worker != "" {
		return withWorker(p.Worker, p.Defies)
	}
	select {}
}

// withWorker ends at once when it is told to, its worker a moment later.
func withWorker(file string, defies bool) int {
	if _, isWorker := os.LookupEnv("SUPERVISOR_TEST_WORKER"); !isWorker {
		self, _ := os.Executable()
		_, err := os.StartProcess(self, os.Args, &os.ProcAttr{
			Env: append(os.Environ(), "SUPERVISOR_TEST_WORKER=1"), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		select {}
	}
	if defies {
		ossignal.Ignore(syscall.SIGTERM)
		_ = os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())), 0o600)
		select {}
	}
	told := make(chan os.Signal, 1)
	ossignal.Notify(told, syscall.SIGTERM)
	_ = os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())), 0o600)
	<-told
	<-time.After(outputGrace + 200*time.Millisecond)
	_ = os.WriteFile(file, []byte("finished"), 0o600)
	return 0
}

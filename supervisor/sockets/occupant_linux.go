// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package sockets

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// occupant looks for a process that keeps this one from an address, which taken, the
// error of an attempt to bind it, names. other is false if the address is this process's
// and its children's alone, or if the system does not show who has it; pid is 0 for a
// process that cannot be seen.
func occupant(network string, taken error) (pid int, other bool) {
	var op *net.OpError
	if !errors.As(taken, &op) {
		return 0, false
	}
	var wanted netip.AddrPort
	switch a := op.Addr.(type) {
	case *net.TCPAddr:
		wanted = a.AddrPort()
	case *net.UDPAddr:
		wanted = a.AddrPort()
	default:
		return 0, false
	}
	found := bound(network, wanted)
	if len(found) == 0 {
		return 0, false
	}
	for inode := range socketsOf("self") {
		delete(found, inode)
	}
	dirs, _ := os.ReadDir("/proc")
	for _, d := range dirs {
		id, err := strconv.Atoi(d.Name())
		if err != nil || len(found) == 0 {
			continue
		}
		ours := parentOf(id) == os.Getpid()
		for inode := range socketsOf(d.Name()) {
			switch {
			case !found[inode]:
			case ours:
				delete(found, inode)
			default:
				return id, true
			}
		}
	}
	return 0, len(found) > 0
}

// bound lists the inodes of the sockets that keep an address from being bound.
func bound(network string, wanted netip.AddrPort) map[string]bool {
	kind, listening := network[:3], ""
	if kind == "tcp" {
		listening = "0A"
	}
	found := make(map[string]bool)
	for _, version := range []string{"", "6"} {
		file, err := os.Open("/proc/self/net/" + kind + version)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			// sl local_address rem_address st queues timer retransmits uid timeout inode
			f := strings.Fields(lines.Text())
			if len(f) < 10 || f[0] == "sl" {
				continue
			}
			if listening != "" && f[3] != listening {
				break // those that listen come first; the others may be very many
			}
			if has, ok := parseProcAddress(f[1]); ok && overlap(has, wanted) {
				found[f[9]] = true
			}
		}
		_ = file.Close()
	}
	return found
}

// overlap reports whether two sockets cannot be bound to a and b unless they share.
func overlap(a, b netip.AddrPort) bool {
	x, y := a.Addr().Unmap(), b.Addr().Unmap().WithZone("")
	return a.Port() == b.Port() && (x == y || !x.IsValid() || !y.IsValid() || x.IsUnspecified() || y.IsUnspecified())
}

// parseProcAddress reads an address as the kernel prints it: 32-bit words in the
// machine's byte order, a colon, and the port.
func parseProcAddress(s string) (a netip.AddrPort, ok bool) {
	host, port, _ := strings.Cut(s, ":")
	p, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return a, false
	}
	var ip []byte
	for ; len(host) >= 8; host = host[8:] {
		word, err := strconv.ParseUint(host[:8], 16, 32)
		if err != nil {
			return a, false
		}
		ip = binary.NativeEndian.AppendUint32(ip, uint32(word))
	}
	addr, ok := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(addr, uint16(p)), ok
}

// socketsOf lists the inodes of a process's sockets, as far as they may be seen.
func socketsOf(pid string) map[string]bool {
	list := make(map[string]bool)
	dir := "/proc/" + pid + "/fd/"
	fds, _ := os.ReadDir(dir)
	for _, fd := range fds {
		to, err := os.Readlink(dir + fd.Name())
		if inode, isSocket := strings.CutPrefix(to, "socket:["); err == nil && isSocket {
			list[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return list
}

// parentOf is the id of a process's parent, 0 if it is not known.
func parentOf(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name in parentheses may hold anything.
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(f) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(f[1])
	return parent
}

// processName is a process as a user finds it.
func processName(pid int) string {
	if pid == 0 {
		return "another process"
	}
	return fmt.Sprintf("process %d (%s)", pid, programName(pid))
}

// programName is the name of the program that a process runs, "" if it is not known.
func programName(pid int) string {
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return strings.TrimSpace(string(name))
}

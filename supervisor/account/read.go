// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package account

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
	"unsafe"

	"github.com/caddy-broker/caddy-broker/internal/plain"
)

var (
	// ErrNone says that a process has not taken its page up: it keeps no account, or had
	// not come so far.
	ErrNone = errors.New("the process kept no account of its requests")
	// ErrLayout says that a page has another layout than this version reads.
	ErrLayout = errors.New("the process's account of its requests has the layout of another version")
)

// Account is what a process had in progress when it died.
type Account struct {
	Requests []Request
	// Torn counts entries that were being written. Nothing of these requests was written
	// to a backend.
	Torn int
	// More counts the requests that had no entry, and MoreUnsafe those of them that may
	// change something.
	More, MoreUnsafe int
}

// Request is one request in progress.
type Request struct {
	Begun time.Time
	// Path is without the query.
	Method, Host, Path, ID string
	// KeyHash is the SHA-256 of the Idempotency-Key in hex, "" without one.
	KeyHash string
	// Pool and Backend are where it was sent last; "" for nowhere, and where the process
	// died while it noted that.
	Pool, Backend string
	// Unsafe: the method may change something. Open: something may have executed it that
	// makes no marks. Written: something of it may have been written to a backend. Told:
	// the supervisor has heard of it as in doubt.
	Unsafe, Open, Written, Told bool
}

// InDoubt reports whether the request may have changed something, and its answer is lost.
func (r *Request) InDoubt() bool { return r.Unsafe && (r.Written || r.Open) }

// readAtOnce is how much of a page is read at once, in bytes.
const readAtOnce = 64 * slotSize

// Read reads the page of a process that is dead.
func Read(page io.ReaderAt) (a *Account, err error) {
	a = new(Account)
	if a.More, a.MoreUnsafe, err = readHeader(page); err != nil {
		return nil, err
	}
	return a, each(page, a.add)
}

// readHeader reads how many requests have no entry, and how many of those are unsafe.
func readHeader(page io.ReaderAt) (more, moreUnsafe int, err error) {
	head := make([]byte, headerSize)
	if _, err := page.ReadAt(head, 0); err != nil {
		return 0, 0, fmt.Errorf("reading the account of requests in progress: %w", err)
	}
	var h header
	if at(head, unsafe.Offsetof(h.magic), binary.NativeEndian.Uint64) != magic {
		return 0, 0, ErrNone
	}
	number := func(offset uintptr) uint32 { return at(head, offset, binary.NativeEndian.Uint32) }
	if v, size, n := number(unsafe.Offsetof(h.version)), number(unsafe.Offsetof(h.slotSize)), number(unsafe.Offsetof(h.slots)); v != version || size != slotSize || n != Slots {
		return 0, 0, fmt.Errorf("%w: %d, not %d", ErrLayout, v, version)
	}
	more = count(number(unsafe.Offsetof(h.more)))
	return more, min(count(number(unsafe.Offsetof(h.moreUnsafe))), more), nil
}

// each hands on the slots of a page.
func each(page io.ReaderAt, to func(slot []byte)) error {
	part := make([]byte, readAtOnce)
	for offset := int64(headerSize); offset < Size; offset += readAtOnce {
		if _, err := page.ReadAt(part, offset); err != nil {
			return fmt.Errorf("reading the account of requests in progress: %w", err)
		}
		for rest := part; len(rest) > 0; rest = rest[slotSize:] {
			to(rest[:slotSize])
		}
	}
	return nil
}

// Count reads how many requests a process has in progress, while it goes on.
func Count(page io.ReaderAt) (int, error) {
	more, _, err := readHeader(page)
	if err != nil {
		return 0, err
	}
	var s slot
	err = each(page, func(room []byte) {
		if at(room, unsafe.Offsetof(s.state), binary.NativeEndian.Uint64)&(flagUsed|flagFilling) != 0 {
			more++
		}
	})
	return more, err
}

// Answered reads how many requests a process has answered, and how many of them with a
// status of 500 or above, while it goes on.
func Answered(page io.ReaderAt) (all, failed uint64, err error) {
	if _, _, err := readHeader(page); err != nil {
		return 0, 0, err
	}
	var h header
	part := make([]byte, unsafe.Sizeof(h.answers))
	if _, err := page.ReadAt(part, int64(unsafe.Offsetof(h.answers))); err != nil {
		return 0, 0, fmt.Errorf("reading the account of answers: %w", err)
	}
	for ; len(part) > 0; part = part[unsafe.Sizeof(h.answers[0]):] {
		all += at(part, unsafe.Offsetof(h.answers[0].all), binary.NativeEndian.Uint64)
		failed += at(part, unsafe.Offsetof(h.answers[0].failed), binary.NativeEndian.Uint64)
	}
	return all, min(failed, all), nil
}

// most bounds what is believed of a count.
const most = 1 << 24

// count is a number of requests: an honest one is not below 0.
func count(n uint32) int { return min(max(int(int32(n)), 0), most) }

func at[N any](room []byte, offset uintptr, read func([]byte) N) N { return read(room[offset:]) }

// add reads one slot.
func (a *Account) add(room []byte) {
	r, state := decode(room)
	switch {
	case state&flagUsed != 0:
		a.Requests = append(a.Requests, r)
	case state&flagFilling != 0:
		a.Torn++
	}
}

// decode reads a slot, if it is in use, and its flags.
func decode(room []byte) (Request, uint64) {
	var s slot
	state := at(room, unsafe.Offsetof(s.state), binary.NativeEndian.Uint64)
	if state&flagUsed == 0 {
		return Request{}, state
	}
	text := func(length, offset, size uintptr) string {
		n := int(at(room, length, binary.NativeEndian.Uint16))
		whole := plain.Line(string(room[offset:offset+uintptr(min(n, int(size)))]), int(size))
		if n > int(size) {
			whole += "..."
		}
		return whole
	}
	r := Request{
		Begun:  time.Unix(0, int64(at(room, unsafe.Offsetof(s.begun), binary.NativeEndian.Uint64))),
		Method: text(unsafe.Offsetof(s.methodLen), unsafe.Offsetof(s.method), unsafe.Sizeof(s.method)),
		Host:   text(unsafe.Offsetof(s.hostLen), unsafe.Offsetof(s.host), unsafe.Sizeof(s.host)),
		Path:   text(unsafe.Offsetof(s.pathLen), unsafe.Offsetof(s.path), unsafe.Sizeof(s.path)),
		ID:     text(unsafe.Offsetof(s.idLen), unsafe.Offsetof(s.id), unsafe.Sizeof(s.id)),

		Unsafe: state&flagUnsafe != 0, Open: state&flagOpen != 0,
		Written: state&flagWritten != 0, Told: state&flagTold != 0,
	}
	if at(room, unsafe.Offsetof(s.keyLen), binary.NativeEndian.Uint16) != 0 {
		key := unsafe.Offsetof(s.key)
		r.KeyHash = hex.EncodeToString(room[key : key+unsafe.Sizeof(s.key)])
	}
	if at(room, unsafe.Offsetof(s.turn), binary.NativeEndian.Uint32)%2 == 0 {
		r.Pool = text(unsafe.Offsetof(s.poolLen), unsafe.Offsetof(s.pool), unsafe.Sizeof(s.pool))
		r.Backend = text(unsafe.Offsetof(s.backendLen), unsafe.Offsetof(s.backend), unsafe.Sizeof(s.backend))
	}
	return r, state
}

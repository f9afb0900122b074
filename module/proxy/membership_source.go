// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-broker/caddy-broker/failover/address"
	"github.com/caddy-broker/caddy-broker/module/internal/parlance"
)

const (
	// listTimeout bounds one reading of a list over the network.
	listTimeout = 5 * time.Second
	// listSlack is read beyond the bound of a list, for blanks around it.
	listSlack = 4 << 10
	// maxListHops is how many redirects within one server are followed.
	maxListHops = 3
)

// listReader reads the list at update_uris_url: a file whenever it changes, a
// URL with conditional requests.
type listReader struct {
	where string
	last  time.Time    // when it was read
	next  time.Time    // when it is read next
	done  *atomic.Bool // the last reading is over; nil before the first
	known listVersion
	http  *http.Client
}

// listVersion tells one state of a list from another.
type listVersion struct {
	file     os.FileInfo
	etag     string
	modified string
}

// isRemoteList reports whether a list comes over the network: it is not the
// operator's word, and every address in it is checked.
func isRemoteList(where string) bool {
	return strings.HasPrefix(where, "http://") || strings.HasPrefix(where, "https://")
}

// forget makes the next look read the list at where as if it was never read.
func (l *listReader) forget(where string) {
	l.where, l.last, l.next, l.known = where, time.Time{}, time.Time{}, listVersion{}
}

func (l *listReader) close() {
	if l.http != nil {
		l.http.CloseIdleConnections()
	}
}

// readList reads the list when that is due: at the start, every listPeriod, with
// every look while no backend answers, and when a file has changed. A pass never
// waits for it: what it brings starts one.
func (s *follower) readList(ctx context.Context, f Backends, now time.Time) {
	l := &s.list
	if l.where == "" || l.done != nil && !l.done.Load() {
		return
	}
	due := !now.Before(l.next) || !s.pool.Online()
	if due && now.Sub(l.last) < membershipTick/2 {
		return
	}
	var read func() ([]byte, listVersion, error)
	where, known := l.where, l.known
	remote := isRemoteList(where)
	if remote {
		if !due {
			return
		}
		if l.http == nil {
			l.http = newListClient()
		}
		client := l.http
		read = func() ([]byte, listVersion, error) { return fetchList(ctx, client, where, known) }
	} else {
		path := listPath(where)
		info, err := os.Stat(path)
		if !due && (err != nil || known.file != nil && sameFile(known.file, info)) {
			return
		}
		read = func() ([]byte, listVersion, error) {
			text, err := readListFile(path)
			return text, listVersion{file: info}, err
		}
	}
	done := new(atomic.Bool)
	l.last, l.next, l.done = now, now.Add(listPeriod), done
	s.work.Go(func() {
		w := word{source: listSource, kind: "uris", trusted: !remote, where: where}
		w.text, w.version, w.err = read()
		switch {
		case w.err != nil:
			w.kind = "bad"
		case w.text == nil:
			w.kind = "same"
		}
		done.Store(true)
		s.tell(ctx, w)
	})
}

// listPath is the path of a file that update_uris_url names.
func listPath(where string) string {
	if !strings.HasPrefix(where, "file://") {
		return where
	}
	u, err := url.Parse(where)
	if err != nil {
		return where
	}
	return u.Path
}

// sameFile tells whether a file is as it was.
func sameFile(a, b os.FileInfo) bool {
	return b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

func readListFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readBounded(file)
}

func readBounded(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, address.MaxListSize+listSlack))
	if text == nil && err == nil {
		text = []byte{}
	}
	return text, err
}

// errListMoved refuses a redirect: where the list is, the operator says.
var errListMoved = errors.New("it redirects to another server: give that URL if the list is there")

func newListClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = 64 << 10
	return &http.Client{
		Transport: transport,
		Timeout:   listTimeout,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Scheme != via[0].URL.Scheme || r.URL.Host != via[0].URL.Host || len(via) > maxListHops {
				return errListMoved
			}
			return nil
		},
	}
}

// fetchList asks for a list; its text is nil when it is what it was.
func fetchList(ctx context.Context, client *http.Client, where string, known listVersion) ([]byte, listVersion, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return nil, known, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", parlance.TypeURIs+", text/plain, */*;q=0.1")
	if known.etag != "" {
		req.Header.Set("If-None-Match", known.etag)
	}
	if known.modified != "" {
		req.Header.Set("If-Modified-Since", known.modified)
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, known, err
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusNotModified && known != (listVersion{}):
		return nil, known, nil
	case res.StatusCode != http.StatusOK:
		return nil, known, fmt.Errorf("the server answered %s", res.Status)
	}
	text, err := readBounded(res.Body)
	if err != nil {
		return nil, known, err
	}
	return text, listVersion{etag: res.Header.Get("Etag"), modified: res.Header.Get("Last-Modified")}, nil
}

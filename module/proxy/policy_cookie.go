// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/failover"
)

// cookieAffinity tells clients apart by a cookie that it gives them, and keeps in
// that cookie where a client was moved to. The value is opaque, random and
// authenticated; it says nothing to anybody without the secret, which all brokers
// with the same storage share.
//
//	nonce[8] | (key[8] | home[8]) xor pad(nonce) | mac[16], as base64url
//
// key is that of the client's first request, which was placed by it, so that the
// cookie moves nobody. It is random: browsers behind one address are many clients.
type cookieAffinity struct {
	name   string // as option affinity has it
	policy *Failover
	own    string      // the name that it has where several pools were told the same
	users  *cookieName // nil before enter

	once   sync.Once
	secret []byte
}

const (
	cookieNonce = 8
	cookieBody  = 16
	cookieMAC   = 16
	cookieSize  = cookieNonce + cookieBody + cookieMAC
)

// identify takes key and home from the cookie. A missing, forged or unknown value
// counts as none: the request gets a key by chance, and a cookie that has it.
func (c *cookieAffinity) identify(r *http.Request, to *failover.Request) {
	for _, name := range c.names() {
		for _, cookie := range r.CookiesNamed(name) {
			if key, home, ok := c.open(cookie.Value); ok {
				to.Key, to.Home, to.Keyed = key, home, true
				return
			}
		}
	}
	keyByChance(r, to)
}

// announce sets the cookie if it has to say something else than it does.
func (c *cookieAffinity) announce(ex *exchange) {
	if ex.w == nil {
		return
	}
	h := ex.w.Header()
	if ex.cookie != "" {
		// For a response that was rejected; it may have come from elsewhere.
		h["Set-Cookie"] = without(h["Set-Cookie"], ex.cookie)
		ex.cookie = ""
	}
	moved := ex.try.Load().Attempt.MovedTo()
	if ex.req.Keyed && moved == ex.req.Home {
		return // the client has a cookie, and it is right
	}
	cookie := http.Cookie{
		Name: c.names()[0], Value: c.seal(ex.req.Key, moved), Path: "/",
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: ex.run.TLS != nil,
	}
	ex.cookie = cookie.String()
	h.Add("Set-Cookie", ex.cookie)
}

func without(list []string, s string) []string {
	var rest []string
	for _, v := range list {
		if v != s {
			rest = append(rest, v)
		}
	}
	return rest
}

func (c *cookieAffinity) seal(key uint64, home string) string {
	v := make([]byte, cookieNonce, cookieSize)
	_, _ = rand.Read(v)
	v = binary.BigEndian.AppendUint64(v, key)
	v = binary.BigEndian.AppendUint64(v, c.tag(home))
	c.mask(v)
	v = append(v, c.mac("cookie", string(v))[:cookieMAC]...)
	return base64.RawURLEncoding.EncodeToString(v)
}

func (c *cookieAffinity) open(value string) (key uint64, home string, ok bool) {
	v, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil || len(v) != cookieSize {
		return 0, "", false
	}
	payload, mac := v[:cookieNonce+cookieBody], v[cookieNonce+cookieBody:]
	if !hmac.Equal(mac, c.mac("cookie", string(payload))[:cookieMAC]) {
		return 0, "", false
	}
	c.mask(payload)
	key = binary.BigEndian.Uint64(payload[cookieNonce:])
	if tag := binary.BigEndian.Uint64(payload[cookieNonce+8:]); tag != 0 {
		for _, m := range c.policy.claim.entry.pool.Members() {
			if c.tag(m.Name) == tag {
				return key, m.Name, true
			}
		}
	}
	return key, "", true
}

// mask hides or shows what follows the nonce.
func (c *cookieAffinity) mask(v []byte) {
	pad := c.mac("pad", string(v[:cookieNonce]))
	for i := range cookieBody {
		v[cookieNonce+i] ^= pad[i]
	}
}

// tag stands for a member in a cookie; 0 is for none.
func (c *cookieAffinity) tag(name string) uint64 {
	if name == "" {
		return 0
	}
	return binary.BigEndian.Uint64(c.mac("home", name)) | 1
}

func (c *cookieAffinity) mac(purpose, s string) []byte {
	m := hmac.New(sha256.New, c.key())
	fmt.Fprintf(m, "%s %s\n%s", purpose, c.policy.claim.entry.name, s)
	return m.Sum(nil)
}

// secretTime bounds the wait for the storage.
const secretTime = 10 * time.Second

// prepare reads the secret, so that no request waits for the storage. One that is not
// there yet is made when the first request needs it: a configuration that is only
// validated, perhaps as another user, leaves nothing behind.
func (c *cookieAffinity) prepare() {
	ctx, cancel := context.WithTimeout(c.policy.ctx, secretTime)
	defer cancel()
	secret, err := loadSecret(ctx, c.policy.ctx.Storage())
	if !errors.Is(err, fs.ErrNotExist) {
		c.once.Do(func() { c.accept(secret, err) })
	}
}

// key is the secret.
func (c *cookieAffinity) key() []byte {
	c.once.Do(func() {
		ctx, cancel := context.WithTimeout(c.policy.ctx, secretTime)
		defer cancel()
		c.accept(sharedSecret(ctx, c.policy.ctx.Storage()))
	})
	return c.secret
}

func (c *cookieAffinity) accept(secret []byte, err error) {
	if err != nil {
		c.policy.logger.Error("cookies will be unknown to other brokers and after a restart: the secret could not be shared", zap.Error(err))
		secret = []byte(rand.Text())
	}
	c.secret = secret
}

// secretName is where the secret for cookies is in Caddy's storage.
const secretName = "caddy-broker/cookie_affinity.key"

func loadSecret(ctx context.Context, storage certmagic.Storage) ([]byte, error) {
	secret, err := storage.Load(ctx, secretName)
	if err == nil && len(strings.TrimSpace(string(secret))) < 16 {
		err = fmt.Errorf("reading %s: it is too short to be a secret; delete it", secretName)
	}
	return secret, err
}

// sharedSecret reads the secret, or makes it.
func sharedSecret(ctx context.Context, storage certmagic.Storage) ([]byte, error) {
	secret, err := loadSecret(ctx, storage)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	if err := storage.Lock(ctx, secretName); err != nil {
		return nil, fmt.Errorf("locking %s: %w", secretName, err)
	}
	defer func() { _ = storage.Unlock(context.WithoutCancel(ctx), secretName) }()
	if secret, err = loadSecret(ctx, storage); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	secret = []byte(rand.Text())
	if err := storage.Store(ctx, secretName, secret); err != nil {
		return nil, fmt.Errorf("storing %s: %w", secretName, err)
	}
	return secret, nil
}

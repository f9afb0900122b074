// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package brokerfile

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/policyconfig"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("failover", parseFailover)
	httpcaddyfile.RegisterDirectiveOrder("failover", httpcaddyfile.Before, "reverse_proxy")
}

// parseFailover parses the failover directive, a shortcut for reverse_proxy with
// the policy failover. Syntax:
//
//	failover [<matcher>] "<failover address>" {
//	    <any subdirective of reverse_proxy>
//	}
//
// The line
//
//	failover "failover:(https://10.0.0.1,https://10.0.0.2?maxRequests=50)?randomize=false"
//
// is equivalent to
//
//	reverse_proxy https://10.0.0.1:443 https://10.0.0.2:443 {
//	    lb_policy failover {
//	        randomize false
//	        address 10.0.0.2:443 {
//	            max_requests 50
//	        }
//	    }
//	}
//
// A block lb_policy failover { } adds options that the address does not give; an
// option in both is an error, and so is another policy.
func parseFailover(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h.Next() // the name of the directive
	d := h.NewFromNextSegment()
	d.Next()
	if !d.NextArg() {
		return nil, d.Err(`the failover address is missing: write failover "failover:(http://HOST:PORT,...)?option=value"`)
	}
	config := new(policyconfig.Config)
	backends, warnings, err := config.ReadAddress(d.Val())
	if err != nil {
		return nil, d.WrapErr(err)
	}
	for _, warning := range warnings {
		caddy.Log().Named("caddyfile").Warn("failover address does not do all it asks for",
			zap.String("reason", warning), zap.String("file", d.File()), zap.Int("line", d.Line()))
	}
	if d.NextArg() {
		return nil, d.Errf("unexpected argument %q: all backends are in the one failover address", d.Val())
	}

	if err := takePolicy(d, config); err != nil {
		return nil, err
	}
	d.Reset()
	d.Next()
	d.NextArg() // errors about the whole tell the line of the address
	if err := config.CheckCaddyfile(d); err != nil {
		return nil, err
	}
	handler, err := proxyHandler(h, proxyTokens(d, backends))
	if err != nil {
		return nil, err
	}
	if len(handler.Upstreams) == 0 && handler.DynamicUpstreamsRaw == nil && config.UpdateURIsURL == "" && config.Discovery == "" {
		return nil, d.Err("the list of addresses is empty and there is no other source: name addresses, or give updateURIsURL, discovery or dynamic")
	}
	if err := config.CheckHandler(handler); err != nil {
		return nil, d.WrapErr(err)
	}
	if handler.LoadBalancing == nil {
		handler.LoadBalancing = new(reverseproxy.LoadBalancing)
	}
	handler.LoadBalancing.SelectionPolicyRaw = caddyconfig.JSONModuleObject(config, "policy", "failover", nil)
	return handler, nil
}

// takePolicy reads lb_policy in the block that follows d's line into config and
// removes it from d: reverse_proxy shall not see it.
func takePolicy(d *caddyfile.Dispenser, config *policyconfig.Config) error {
	found := false
	for d.NextBlock(0) {
		name := d.Val()
		segment := d.NextSegment()
		if name != "lb_policy" {
			continue
		}
		d.DeleteN(len(segment))
		p := caddyfile.NewDispenser(segment)
		p.Next()
		switch {
		case !p.NextArg():
			return p.ArgErr()
		case p.Val() != "failover":
			return p.Errf("the directive failover has the policy failover, not %s: use reverse_proxy for another one", p.Val())
		case found:
			return p.Err("load balancing selection policy already specified")
		case p.NextArg():
			return p.ArgErr()
		}
		found = true
		if err := config.UnmarshalCaddyfileBlock(p); err != nil {
			return err
		}
	}
	return nil
}

// proxyTokens are those of a reverse_proxy: d's, with the backends in place of
// the failover address. They keep their scheme, which decides the transport.
func proxyTokens(d *caddyfile.Dispenser, backends []string) []caddyfile.Token {
	var tokens []caddyfile.Token
	d.Reset()
	for i := 0; d.Next(); i++ {
		if i != 1 {
			tokens = append(tokens, d.Token())
			continue
		}
		for _, name := range backends {
			token := d.Token()
			token.Text = name
			tokens = append(tokens, token)
		}
	}
	d.Reset()
	d.Next()
	d.NextArg()
	return tokens
}

func proxyHandler(h httpcaddyfile.Helper, tokens []caddyfile.Token) (*reverseproxy.Handler, error) {
	handler := new(reverseproxy.Handler)
	if err := handler.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens)); err != nil {
		return nil, err
	}
	return handler, handler.FinalizeUnmarshalCaddyfile(h)
}

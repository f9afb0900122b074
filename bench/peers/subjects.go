// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package peers

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Set are the proxies of one comparison.
type Set struct {
	// Broker is the plugin with a supervised child, Standby the same with a spare.
	Broker, Standby Subject
	// Policy is the plugin's selection policy in a Caddy without children.
	Policy Subject
	// First is the same program with Caddy's own lb_policy first: what differs
	// from Policy is the policy, and from Stock the program.
	First Subject
	Stock Subject
	// StockGC is that with the setting of the garbage collector that our children have.
	StockGC Subject
	// Others are nginx and HAProxy, as far as they are installed.
	Others []Subject
	// Absent names those that are not, and how to get them.
	Absent []string
}

const (
	pluginPackage = "github.com/caddy-broker/caddy-broker/cmd/caddy"
	stockPackage  = "github.com/caddyserver/caddy/v2/cmd/caddy"
)

// Prepare builds both Caddys into dir and looks for the others.
func Prepare(ctx context.Context, dir string) (*Set, error) {
	plugin, stock := filepath.Join(dir, "caddy-broker"), filepath.Join(dir, "caddy-stock")
	if err := BuildCaddy(ctx, pluginPackage, plugin); err != nil {
		return nil, err
	}
	if err := BuildCaddy(ctx, stockPackage, stock); err != nil {
		return nil, err
	}
	release, err := caddyRelease(ctx)
	if err != nil {
		return nil, err
	}
	set := &Set{
		Broker:  pluginSubject("caddy-broker", plugin, plugged{ha: true, policy: true}),
		Standby: pluginSubject("caddy-broker, standby 1", plugin, plugged{ha: true, policy: true, standby: 1}),
		Policy:  pluginSubject("caddy-broker, policy alone", plugin, plugged{policy: true}),
		First:   pluginSubject("caddy-broker, lb_policy first", plugin, plugged{}),
		Stock: Subject{Name: "Caddy " + strings.TrimPrefix(release, "v"), Peer: true, start: func(site *Site) (kind, error) {
			site.passSocket()
			c, err := newCaddy(site, stock, "stock.caddyfile")
			c.again = systemdRestart
			return c, err
		}},
	}
	set.StockGC = Subject{Name: set.Stock.Name + ", GOGC=400", Peer: true, start: func(site *Site) (kind, error) {
		c, err := newCaddy(site, stock, "stock.caddyfile")
		c.variables = []string{"GOGC=400"}
		return c, err
	}}
	set.other(ctx, "nginx", newNginx)
	set.other(ctx, "haproxy", newHAProxy)
	return set, nil
}

// caddyRelease is the version that go.mod names.
func caddyRelease(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", "github.com/caddyserver/caddy/v2").Output()
	if err != nil {
		return "", fmt.Errorf("looking up Caddy's version: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// plugged is what of the plugin a subject uses.
type plugged struct {
	ha, policy bool
	standby    int
}

func pluginSubject(name, bin string, use plugged) Subject {
	return Subject{Name: name, HA: use.ha, start: func(site *Site) (kind, error) {
		site.HA, site.Policy, site.Standby = use.ha, use.policy, use.standby
		return newCaddy(site, bin, "plugin.caddyfile")
	}}
}

// PrepareSoak builds the plugin into dir, with a standby and the configuration
// for random faults.
func PrepareSoak(ctx context.Context, dir string) (Subject, error) {
	bin := filepath.Join(dir, "caddy-broker")
	return Subject{Name: "caddy-broker", HA: true, start: func(site *Site) (kind, error) {
		site.HA, site.Policy, site.Standby = true, true, 1
		return newCaddy(site, bin, "soak.caddyfile")
	}}, BuildCaddy(ctx, pluginPackage, bin)
}

var version = regexp.MustCompile(`\d+\.\d+\.\d+`)

// other adds a program that may be installed or not.
func (s *Set) other(ctx context.Context, name string, start func(*Site, string) (kind, error)) {
	bin, err := exec.LookPath(name)
	if err != nil {
		s.Absent = append(s.Absent, name)
		return
	}
	out, err := exec.CommandContext(ctx, bin, "-v").CombinedOutput()
	if err != nil {
		s.Absent = append(s.Absent, fmt.Sprintf("%s (%v)", name, err))
		return
	}
	has := version.FindString(string(out))
	s.Others = append(s.Others, Subject{
		Name: name + " " + has, Peer: true,
		start: func(site *Site) (kind, error) {
			site.Version = has
			return start(site, bin)
		},
	})
}

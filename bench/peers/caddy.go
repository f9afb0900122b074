// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// caddyTags are those of Caddy's own releases.
const caddyTags = "nobadger,nomysql,nopgx"

// BuildCaddy builds a Caddy from a package of this module or of its dependencies.
func BuildCaddy(ctx context.Context, pkg, bin string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", caddyTags, "-o", bin, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// caddy is Caddy with or without the plugin.
type caddy struct {
	site    *Site
	bin     string
	file    string
	adapter string
	again   time.Duration
	// variables are those of its environment.
	variables []string
}

func newCaddy(site *Site, bin, template string) (*caddy, error) {
	file, err := site.render(template)
	adapter := "caddyfile"
	if site.HA {
		adapter = "broker"
	}
	return &caddy{site: site, bin: bin, file: file, adapter: adapter}, err
}

func (c *caddy) command() []string {
	return []string{c.bin, "run", "--config", c.file, "--adapter", c.adapter}
}

func (c *caddy) env() []string { return c.variables }

func (c *caddy) revived() time.Duration { return c.again }

// child is what the admin API tells of a supervised child.
type child struct {
	State     string `json:"state"`
	Pid       int    `json:"pid"`
	Processes []struct {
		Pid   int    `json:"pid"`
		State string `json:"state"`
	} `json:"processes"`
}

func (c *caddy) child(ctx context.Context) (child, error) {
	var ch child
	text, err := get(ctx, "http://"+c.site.Admin+"/broker/children/default")
	if err == nil {
		err = json.Unmarshal(text, &ch)
	}
	return ch, err
}

// get is what the admin API answers.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true // nothing of ours keeps the admin endpoint from closing
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

func (c *caddy) ready(ctx context.Context, _ int) error {
	if !c.site.HA {
		return nil
	}
	ch, err := c.child(ctx)
	if err != nil {
		return err
	}
	spares := 0
	for _, p := range ch.Processes {
		if p.State == "standby" {
			spares++
		}
	}
	if ch.State != "active" || spares != c.site.Standby {
		return fmt.Errorf("the child is %s with %d of %d spares", ch.State, spares, c.site.Standby)
	}
	return nil
}

// workers are the child first and then its spares and predecessors.
func (c *caddy) workers(ctx context.Context, master int) ([]int, error) {
	if !c.site.HA {
		return []int{master}, nil
	}
	ch, err := c.child(ctx)
	if err != nil {
		return nil, err
	}
	pids := []int{ch.Pid}
	for _, p := range ch.Processes {
		if !slices.Contains(pids, p.Pid) {
			pids = append(pids, p.Pid)
		}
	}
	return pids, nil
}

// reload changes the file first, because nothing is replaced for one that says the
// same; it is an error when the child was not replaced.
func (c *caddy) reload(ctx context.Context, p *Proxy) error {
	old, err := c.workers(ctx, p.Master())
	if err != nil {
		return err
	}
	c.site.Reloads++
	if _, err := c.site.render(filepath.Base(c.file)); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, c.bin, "reload",
		"--config", c.file, "--adapter", c.adapter, "--address", c.site.Admin)
	cmd.Dir, cmd.Env = c.site.Dir, p.environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("reloading: %w\n%s", err, out)
	}
	now, err := c.workers(ctx, p.Master())
	if err == nil && c.site.HA && now[0] != 0 && now[0] == old[0] {
		err = fmt.Errorf("child %d serves on after a reload", now[0])
	}
	return err
}

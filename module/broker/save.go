// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-broker/caddy-broker/module/document"
)

// save writes the configuration that serves where Caddy would have saved it, for
// `caddy run --resume`, had it loaded it. What cannot be written costs a line in the log.
func (w *wrapped) save() {
	if !persists(w.user) {
		return
	}
	text, err := w.text()
	if err == nil {
		err = SaveConfig(caddy.ConfigAutosavePath, text)
	}
	if err != nil {
		caddy.Log().Named("broker").Error("saving the configuration that serves", zap.Error(err))
	}
}

// persists reports whether a configuration is to be saved.
func persists(d *document.Document) bool {
	var admin struct {
		Config struct {
			Persist *bool `json:"persist"`
		} `json:"config"`
	}
	text, _, err := d.Get("/config/admin")
	if err != nil || json.Unmarshal(text, &admin) != nil {
		return true
	}
	return admin.Config.Persist == nil || *admin.Config.Persist
}

// SaveConfig replaces a file at once: a reader finds the old configuration or
// the new one, never a part.
func SaveConfig(file string, text []byte) error {
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	_, err = next.Write(text)
	if errClose := next.Close(); err == nil {
		err = errClose
	}
	if err == nil {
		err = os.Rename(next.Name(), file)
	}
	if err != nil {
		_ = os.Remove(next.Name())
		return fmt.Errorf("replacing %s: %w", file, err)
	}
	return nil
}

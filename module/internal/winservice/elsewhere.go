// SPDX-FileCopyrightText: The caddy-broker authors
// SPDX-License-Identifier: Apache-2.0

package winservice

import (
	"errors"
	"fmt"
)

// elsewhere is the error of a system that is not Windows, with what it has instead.
func elsewhere(system string) error {
	instead := "give `caddy run --config FILE --adapter broker` to its own manager of services"
	switch system {
	case "linux":
		instead = "install a package, or the systemd unit examples/systemd/caddy-broker.service"
	case "darwin":
		instead = "give `caddy run --config FILE --adapter broker` to launchd, as docs/platforms.md shows"
	}
	return fmt.Errorf("this command is for services of Windows: %w on %s; %s", errors.ErrUnsupported, system, instead)
}

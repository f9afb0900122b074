#!/bin/sh
# SPDX-FileCopyrightText: The caddy-broker authors
# SPDX-License-Identifier: Apache-2.0
#
# Installs the proxies that bench compares with, and the servers that the
# integration tests have as backends, and promtool, from Debian's packages, and does not let
# their services start. Stock Caddy is built from the module cache by bench itself.
set -eu

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "bench/install.sh needs root and apt-get (Debian or a relative of it)" >&2
	exit 1
fi

# Packages ask this program before they start a service; 101 means: do not.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends nginx haproxy apache2-bin python3 prometheus
nginx -v
haproxy -v | head -n 1
apache2 -v | head -n 1
python3 --version
promtool --version | head -n 1

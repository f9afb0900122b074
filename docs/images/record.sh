#!/usr/bin/env bash
# SPDX-FileCopyrightText: The caddy-broker authors
# SPDX-License-Identifier: Apache-2.0
#
# Records docs/images/failures.svg: a real session with a real broker, in which its
# child and then a backend are killed. It needs Go, curl and Linux, and the ports
# 2019, 8080, 9001 and 9002, so it is best run in a network namespace:
#
#	unshare --net docs/images/record.sh
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD
work=$(mktemp -d)
pids=()
finish() {
	kill "${pids[@]}" 2>/dev/null || true
	wait
	rm -rf "$work"
}
trap finish EXIT

if [ "$(id -u)" = 0 ] && command -v ip >/dev/null; then
	ip link set lo up
fi
go build -buildvcs=false -o "$work/caddy" ./cmd/caddy
go build -C tools -buildvcs=false -o "$work/termsvg" ./termsvg
export PATH=$work:$PATH XDG_CONFIG_HOME=$work/config XDG_DATA_HOME=$work/data
cd "$work"

cat >Caddyfile <<'END'
{
	broker {
		standby 1
	}
}
http://:8080 {
	reverse_proxy 127.0.0.1:9001 127.0.0.1:9002 {
		lb_policy failover {
			randomize false
			priority_backup
			pool shop
		}
	}
}
END

caddy respond --listen 127.0.0.1:9001 'primary
' >/dev/null 2>&1 &
primary=$!
caddy respond --listen 127.0.0.1:9002 'first backup
' >/dev/null 2>&1 &
backup=$!
caddy broker run --ha >broker.log 2>&1 &
pids=("$!" "$primary" "$backup")
# The shell is not to report what is killed on purpose.
disown -a

# What is waited for: everything is well, and a request has been answered.
await() {
	for _ in $(seq 200); do
		if eval "$1" >/dev/null 2>&1; then
			return
		fi
		sleep 0.1
	done
	echo "waited in vain for: $1" >&2
	tail -n 5 broker.log >&2
	exit 1
}
await 'curl -sf localhost:8080 && caddy broker status'

run() {
	printf '$ %s\n' "$1"
	eval "$1" 2>&1 || true
}
# The process that serves, as a script would find it.
active() {
	caddy broker status | awk '$1 == "default" { print $3 }'
}

{
	run "caddy broker status"
	echo
	echo '# Kill the process that serves your sites. The standby takes over.'
	run "kill -9 $(active)"
	run 'curl localhost:8080 -sw "answered in %{time_total} s\n"'
	echo
	echo '# Kill the primary backend. The same request goes to the next one.'
	run "kill -9 $primary"
	run 'curl localhost:8080 -sw "answered in %{time_total} s\n"'
	# Until a third standby has taken the place of the second.
	await 'caddy broker status | grep -q "1 of 1"'
	run "caddy broker status"
} >transcript
termsvg 'a load balancer that loses its process and a backend' <transcript >"$root/docs/images/failures.svg"
cat transcript

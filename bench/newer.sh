#!/bin/sh
# SPDX-FileCopyrightText: The caddy-broker authors
# SPDX-License-Identifier: Apache-2.0
#
# Unpacks nginx and HAProxy of a newer Debian into the user's cache directory, with the
# libraries and the loader they need, and prints the folder that holds them, for PATH:
#
#	PATH="$(bench/newer.sh sid):$PATH" go run ./bench
#
# apt is given lists, a cache and an empty machine of its own, so that no package of
# this machine changes and root is not needed. The mirror is that of this machine's
# sources. Only what Debian's keyring signs is taken.
set -eu

suite=${1:-sid}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
if ! command -v apt-get >/dev/null || [ ! -r "$keyring" ]; then
	echo "bench/newer.sh needs apt-get and the package debian-archive-keyring" >&2
	exit 1
fi

# mirror prints where this machine gets packages with this label.
mirror() {
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' "Label: $1" | sort -u | head -n 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work" # apt downloads as a user of its own
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
: >"$work/status"
cat >"$work/apt.conf" <<EOF
Dir::State "$work";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "/dev/null";
Acquire::Languages "none";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
APT::Get::AllowUnauthenticated "false";
APT::Install-Recommends "false";
EOF
debian=$(mirror Debian) security=$(mirror Debian-Security)
if [ -z "$debian" ]; then
	echo "apt knows no Debian mirror: is this Debian, and was apt-get update run?" >&2
	exit 1
fi
options="target=Packages signed-by=$keyring"
echo "deb [$options] $debian $suite main" >"$work/sources.list"
case $suite in
sid | unstable) ;; # fixes go straight there
*)
	if [ -n "$security" ]; then
		echo "deb [$options] $security $suite-security main" >>"$work/sources.list"
	fi
	;;
esac

# With -c it counts more than what the machine's own configuration says.
apt-get -c "$work/apt.conf" -q --error-on=any update >&2
apt-get -c "$work/apt.conf" -q -y --download-only install nginx haproxy >&2

cache=${XDG_CACHE_HOME:-$HOME/.cache}/caddy-broker-bench
root=$cache/$suite
mkdir -p "$cache"
next=$(mktemp -d "$cache/unpacked.XXXXXX")
trap 'rm -rf "$work" "$next"' EXIT
for package in "$work"/cache/archives/*.deb; do
	dpkg-deb -x "$package" "$next"
done

# The machine's own loader and libraries are too old for these programs. A loader turns
# into the program: the process is the one that was started.
loader=$(cd "$next" && echo usr/lib/*/ld-linux-*.so.*)
mkdir "$next/bin"
for program in nginx haproxy; do
	cat >"$next/bin/$program" <<EOF
#!/bin/sh
exec '$root/$loader' --library-path '$root/${loader%/*}' --argv0 "\$0" '$root/usr/sbin/$program' "\$@"
EOF
	chmod 755 "$next/bin/$program"
done
chmod 755 "$next"
rm -rf "$root"
mv "$next" "$root"
"$root/bin/nginx" -v >&2
"$root/bin/haproxy" -v | head -n 1 >&2
echo "$root/bin"

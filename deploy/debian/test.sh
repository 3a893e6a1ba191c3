#!/bin/bash
# Builds the package and lives through its life in a machine of its own: deploy/debian/test.sh
# [--binary FILE]. The machine is this one, with a layer on top that is thrown away, its own
# network and a real systemd; nothing outside of it changes. Needs root, systemd-container, curl
# and overlayfs; uses lintian and prometheus where they are.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
for tool in systemd-nspawn nsenter curl dpkg-deb; do
    command -v "$tool" >/dev/null || {
        echo "test.sh: $tool is missing: apt-get install systemd-container curl" >&2
        exit 2
    }
done
[ "$(id -u)" = 0 ] || { echo "test.sh: needs root for a machine of its own" >&2; exit 2; }

# Quick to make, which is all that counts here.
export DPKG_DEB_COMPRESSOR_TYPE=gzip DPKG_DEB_COMPRESSOR_LEVEL=1
work=$(mktemp -d)
machine=''
cleanup() {
    [ -z "$machine" ] || kill "$machine" 2>/dev/null || true
    [ -z "$machine" ] || wait "$machine" 2>/dev/null || true
    umount "$work/root" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

echo "== build"
old=$("$here/build.sh" "$@" --output "$work" 2>/dev/null)
version=$(dpkg-deb --field "$old" Version)
new=$("$here/build.sh" "$@" --output "$work" --version "$version+1" 2>/dev/null)
again=$("$here/build.sh" "$@" --output "$work/again" 2>/dev/null)
cmp "$old" "$again"
dpkg-deb --contents "$old" | grep -c '' | sed 's/$/ files and folders/'
if command -v lintian >/dev/null; then
    echo "== lintian"
    lintian --allow-root --fail-on error --tag-display-limit 0 "$old"
fi

echo "== boot"
mkdir "$work/up" "$work/wk" "$work/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/up,workdir=$work/wk" "$work/root"
# Only what every system has: what else is installed here is not ours to start.
rm -rf "$work"/root/etc/systemd/system/*.target.wants
# Images of containers forbid packages to start services.
rm -f "$work/root/usr/sbin/policy-rc.d"
mkdir -p "$work/root/srv/packages"
cp "$old" "$work/root/srv/packages/old.deb"
cp "$new" "$work/root/srv/packages/new.deb"
cp "$here/test-inside.sh" "$work/root/srv/packages/"
systemd-nspawn --quiet --register=no --keep-unit --private-network --directory="$work/root" \
    --boot --console=pipe --link-journal=no systemd.unit=multi-user.target \
    </dev/null >"$work/console" 2>&1 &
machine=$!
leader=''
for _ in $(seq 100); do
    leader=$(pgrep -P "$machine" || true)
    if [ -n "$leader" ] && nsenter -t "$leader" -a systemctl is-active -q dbus.socket 2>/dev/null; then
        break
    fi
    sleep 0.2
done
[ -n "$leader" ] || { cat "$work/console" >&2; exit 1; }
nsenter -t "$leader" -a /bin/bash /srv/packages/test-inside.sh
echo "== all of it worked"

#!/bin/bash
# Runs the static program as the image does, without an image: deploy/container/test.sh PROGRAM
#
# An empty, read-only root with what deploy/container/Dockerfile puts into it, user 65532, no
# capability, one writable folder. Then the container's health check, a time zone, and a stop.
set -euo pipefail

program=${1:?the static program, such as target/x86_64-unknown-linux-musl/release/grayflag}
command -v bwrap >/dev/null || { echo "test.sh: apt-get install bubblewrap" >&2; exit 2; }

work=$(mktemp -d)
chmod 0755 "$work"
trap 'rm -rf "$work"' EXIT
if ldd "$program" >"$work/ldd" 2>&1; then
    grep -q 'statically linked' "$work/ldd" || { echo "not static: $(cat "$work/ldd")" >&2; exit 1; }
fi
state=$work/state
mkdir "$state"
chown 65532:65532 "$state"
cat >"$work/grayflag.toml" <<'TOML'
[poll]
timezone = "Europe/Berlin"
[rules]
paths = ["builtin"]
[source]
url = "http://127.0.0.1:1"
[store]
url = "sqlite:/var/lib/grayflag/grayflag.db"
[http]
listen = "127.0.0.1:19469"
TOML

inside() {
    setpriv --reuid=65532 --regid=65532 --clear-groups --no-new-privs --bounding-set=-all -- \
        bwrap --unshare-user --unshare-pid --as-pid-1 --die-with-parent --clearenv \
        --setenv GRAYFLAG_CONFIG /etc/grayflag/grayflag.toml \
        --ro-bind "$program" /usr/bin/grayflag \
        --ro-bind "$work/grayflag.toml" /etc/grayflag/grayflag.toml \
        --ro-bind /usr/share/zoneinfo /usr/share/zoneinfo \
        --ro-bind /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt \
        --bind "$state" /var/lib/grayflag --proc /proc --remount-ro / \
        --chdir /var/lib/grayflag /usr/bin/grayflag "$@"
}

echo "== check"
inside check
echo "== run"
inside run 2>"$work/log" &
bwrap=$!
for _ in $(seq 100); do
    if inside healthy 2>/dev/null; then break; fi
    sleep 0.2
done
inside healthy || { cat "$work/log" >&2; exit 1; }
if inside healthy --ready; then
    echo "ready without a backend" >&2
    exit 1
fi
[ "$(stat -c %u "$state/grayflag.db")" = 65532 ]
echo "== stop"
# Process 1 of a container gets no signal that it does not handle.
pkill -TERM -P "$(pgrep -P "$bwrap")"
wait "$bwrap"
grep -q 'stopped' "$work/log"
echo "== all of it worked"

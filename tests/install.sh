#!/usr/bin/env bash
# Installs what the tests need and this machine lacks: metrics backends, an Alertmanager, a mail
# server, a browser, openssl.
# Run again, it changes nothing. Root or passwordless sudo is needed only if something is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

newer=target/newer
python=target/python

say() { echo "==> $*"; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@" </dev/null; else sudo -n -- "$@" </dev/null; fi
}

apt_install() {
  if ! command -v apt-get >/dev/null; then
    echo "error: no apt-get here; install these yourself and run again: $*" >&2
    exit 2
  fi
  say "installing $*"
  as_root apt-get -qq -o DPkg::Lock::Timeout=300 update
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
    install --no-install-recommends "$@" >/dev/null
}

# Debian starts a server when it is installed. The tests start their own on free ports, so one
# that came with us goes quiet again; one that was there before is not ours to touch.
quiet() {
  if command -v systemctl >/dev/null; then
    as_root systemctl disable "$1" >/dev/null 2>&1 || true
  fi
  if [ -d /run/systemd/system ]; then
    as_root systemctl stop "$1" >/dev/null 2>&1 || true
  elif [ -x "/etc/init.d/$1" ]; then
    as_root "/etc/init.d/$1" stop >/dev/null 2>&1 || true
  fi
}

packages=()
servers=()
for server in prometheus victoria-metrics prometheus-alertmanager; do
  if ! command -v "$server" >/dev/null; then
    packages+=("$server")
    servers+=("$server")
  fi
done
command -v openssl >/dev/null || packages+=(openssl)
command -v python3 >/dev/null || packages+=(python3)
if ! command -v chromium chromium-browser google-chrome >/dev/null; then packages+=(chromium); fi
command -v cc >/dev/null || packages+=(gcc libc6-dev)
if [ ${#packages[@]} -gt 0 ]; then
  apt_install "${packages[@]}"
fi
for server in "${servers[@]}"; do quiet "$server"; done

# The mail server of the tests, in an environment of its own: many systems no longer let pip
# change theirs.
if ! python3 -c 'import aiosmtpd' 2>/dev/null && ! "$python/bin/python3" -c 'import aiosmtpd' 2>/dev/null; then
  say "installing aiosmtpd into $python"
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
  rm -rf "$python"
  python3 -m venv "$python"
  "$python/bin/python3" -m pip install --quiet --disable-pip-version-check aiosmtpd </dev/null
fi

# Newer backends, because answers differ between versions.
if command -v apt-get >/dev/null && bash tests/newer.sh "$newer" prometheus promtool victoria-metrics prometheus-alertmanager; then
  say "newer backends are in $newer: $("$newer/prometheus/usr/bin/prometheus" --version 2>&1 | awk 'NF && !n++')"
else
  say "note: newer backends could not be fetched; the tests go on with the installed ones only"
fi

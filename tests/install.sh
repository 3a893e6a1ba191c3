#!/usr/bin/env bash
# Installs what the tests need and this machine lacks: metrics backends, an Alertmanager, a mail
# server, a browser, axe-core, openssl, curl, and schemathesis, which tries the API out.
# Run again, it changes nothing. Root or passwordless sudo is needed only if something is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

newer=target/newer
python=target/python

source tests/apt.sh

packages=()
servers=()
for server in prometheus victoria-metrics prometheus-alertmanager; do
  if ! command -v "$server" >/dev/null; then
    packages+=("$server")
    servers+=("$server")
  fi
done
command -v openssl >/dev/null || packages+=(openssl)
command -v curl >/dev/null || packages+=(curl)
command -v python3 >/dev/null || packages+=(python3)
command -v sqlite3 >/dev/null || packages+=(sqlite3)
if ! command -v chromium chromium-browser google-chrome >/dev/null; then packages+=(chromium); fi
command -v cc >/dev/null || packages+=(gcc libc6-dev)
if [ ${#packages[@]} -gt 0 ]; then
  apt_install "${packages[@]}"
fi
for server in "${servers[@]}"; do quiet "$server"; done

# The mail server of the tests, and what tries the API out, in an environment of their own: many
# systems no longer let pip change theirs.
if ! "$python/bin/python3" -c 'import aiosmtpd, schemathesis' 2>/dev/null; then
  say "installing aiosmtpd and schemathesis into $python"
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
  rm -rf "$python"
  python3 -m venv "$python"
  "$python/bin/python3" -m pip install --quiet --disable-pip-version-check aiosmtpd 'schemathesis>=4.32,<5' </dev/null
fi

# Finds on pages what keeps people out: one script, run inside the browser.
axe=target/axe
if [ ! -f "$axe/package/axe.min.js" ]; then
  command -v npm >/dev/null || apt_install npm
  say "fetching axe-core into $axe"
  mkdir -p "$axe"
  (cd "$axe" && npm pack --silent axe-core@4.14.1 >/dev/null && tar -xzf axe-core-4.14.1.tgz package/axe.min.js)
fi

# Newer backends, because answers differ between versions.
if command -v apt-get >/dev/null && bash tests/newer.sh "$newer" prometheus promtool victoria-metrics prometheus-alertmanager; then
  say "newer backends are in $newer: $("$newer/prometheus/usr/bin/prometheus" --version 2>&1 | awk 'NF && !n++')"
else
  say "note: newer backends could not be fetched; the tests go on with the installed ones only"
fi

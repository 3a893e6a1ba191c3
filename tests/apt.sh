# Functions that install Debian's packages; sourced by tests/install.sh and tests/exporters.sh.

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

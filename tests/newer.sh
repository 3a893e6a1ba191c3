#!/usr/bin/env bash
# Unpacks packages of Debian's development suite beside the installed ones. Nothing is installed:
# their programs run from where they are unpacked.
#
#   tests/newer.sh FOLDER PACKAGE...      gives FOLDER/PACKAGE/usr/bin/...
#
# The mirror is the one that this machine's own apt already uses; Debian's keys are checked.
set -euo pipefail

if [ $# -lt 2 ]; then
  echo "usage: $0 FOLDER PACKAGE..." >&2
  exit 2
fi
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift

missing=()
for package in "$@"; do
  [ -d "$folder/$package/usr/bin" ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

# The first Debian repository among apt's own; the suite is ours, all else stays as configured.
mirror=$(apt-get indextargets --format '$(REPO_URI)' \
  'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main' | sort -u | sed -n 1p)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
if [ -z "$mirror" ]; then
  echo "newer: apt knows no Debian repository on this machine" >&2
  exit 1
fi

work=$(mktemp -d "$folder/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
{
  echo "Types: deb"
  echo "URIs: $mirror"
  echo "Suites: sid"
  echo "Components: main"
  if [ -f "$keys" ]; then echo "Signed-By: $keys"; fi
} >"$work/newer.sources"

# An apt that keeps its lists and files here and leaves the system's alone. Without a sandbox
# user, because that user may not read a checkout in somebody's home.
own_apt=(apt-get -qq
  -o "Dir::Etc::sourcelist=$work/newer.sources" -o Dir::Etc::sourceparts=-
  -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache"
  -o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::Retries=3)
"${own_apt[@]}" update </dev/null

for package in "${missing[@]}"; do
  mkdir -p "$work/$package"
  (cd "$work/$package" && "${own_apt[@]}" download "$package" </dev/null)
  dpkg-deb -x "$work/$package"/*.deb "$work/$package/tree"
  # Moved in one piece, so that a half unpacked package is never taken for a whole one.
  rm -rf "${folder:?}/$package"
  mv "$work/$package/tree" "$folder/$package"
done

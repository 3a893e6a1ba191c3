#!/bin/sh
# Builds a Debian package: deploy/debian/build.sh [--binary FILE] [--version V] [--output DIR]
#
# Without --binary the static program is built first; it runs on every Debian and Ubuntu, whatever
# their C library. DEBFULLNAME and DEBEMAIL say who maintains the package. Prints its path.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
binary='' version='' output=$root/target/debian

fail() {
    echo "build.sh: $*" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || fail "$1 needs a value"
    case $1 in
        --binary) binary=$2 ;;
        --version) version=$2 ;;
        --output) output=$2 ;;
        *) fail "unknown option $1" ;;
    esac
    shift 2
done
command -v dpkg-deb >/dev/null || fail "dpkg-deb is missing: apt-get install dpkg"

if [ -z "$binary" ]; then
    target=$(uname -m)-unknown-linux-musl
    # On standard error: standard output is the package's path.
    (cd "$root" && cargo build --profile dist --target "$target" --bin grayflag) >&2
    binary=${CARGO_TARGET_DIR:-$root/target}/$target/dist/grayflag
fi
[ -x "$binary" ] || fail "$binary is no program"
[ -n "$version" ] || version=$("$binary" --version | cut -d' ' -f2)
architecture=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

maintainer="${DEBFULLNAME:-grayflag maintainers} <${DEBEMAIL:-grayflag@localhost.localdomain}>"

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
umask 022
put() { # MODE FILE PATH-IN-PACKAGE
    install -D -m "$1" "$2" "$tree/$3"
}

put 0755 "$binary" usr/bin/grayflag
strip --strip-all "$tree/usr/bin/grayflag"
put 0644 "$root/deploy/systemd/grayflag.service" lib/systemd/system/grayflag.service
put 0644 "$here/grayflag.toml" etc/grayflag/grayflag.toml
put 0644 "$here/default" etc/default/grayflag
(cd "$root" && find rules -name '*.toml') | while read -r file; do
    put 0644 "$root/$file" "usr/share/grayflag/$file"
done

doc=usr/share/doc/grayflag
put 0644 "$root/README.md" $doc/README.md
for file in "$root"/docs/*.md; do
    put 0644 "$file" "$doc/docs/$(basename "$file")"
done
put 0644 "$root/config/grayflag.toml" $doc/examples/grayflag.toml
put 0644 "$here/copyright" $doc/copyright
gzip -9n <"$root/CHANGELOG.md" >"$tree/$doc/CHANGELOG.md.gz"
gzip -9n >"$tree/$doc/changelog.gz" <<CHANGELOG
grayflag ($version) unstable; urgency=medium

  * CHANGELOG.md.gz says what is new.

 -- $maintainer  $(LC_ALL=C date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")
CHANGELOG
mkdir -p "$tree/usr/share/man/man1" "$tree/usr/share/lintian/overrides"
gzip -9n <"$here/grayflag.1" >"$tree/usr/share/man/man1/grayflag.1.gz"
put 0644 "$here/lintian-overrides" usr/share/lintian/overrides/grayflag

completions() { # SHELL PATH-IN-PACKAGE
    if "$binary" completions "$1" >"$tree/completion" 2>/dev/null; then
        put 0644 "$tree/completion" "$2"
    fi
    rm -f "$tree/completion"
}
completions bash usr/share/bash-completion/completions/grayflag
completions zsh usr/share/zsh/vendor-completions/_grayflag
completions fish usr/share/fish/vendor_completions.d/grayflag.fish

mkdir "$tree/DEBIAN"
install -m 0755 "$here/postinst" "$here/prerm" "$here/postrm" "$tree/DEBIAN/"
printf '%s\n' /etc/default/grayflag /etc/grayflag/grayflag.toml >"$tree/DEBIAN/conffiles"
(cd "$tree" && find usr lib etc -type f | LC_ALL=C sort | xargs md5sum) >"$tree/DEBIAN/md5sums"
cat >"$tree/DEBIAN/control" <<CONTROL
Package: grayflag
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Section: net
Priority: optional
Depends: adduser
Recommends: ca-certificates, tzdata
Suggests: prometheus, sqlite3
Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f1)
Description: early warning from the weak signals before an incident
 grayflag reads a Prometheus-compatible backend, learns what is normal for each
 service, and notices slow drift and small shifts before a threshold is crossed.
 It joins weak signals that belong together into one incident, names the
 probable cause with the evidence, and hands over the next steps.
CONTROL
mkdir -p "$output"
package=$output/grayflag_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$tree" "$package" >&2
echo "$package"

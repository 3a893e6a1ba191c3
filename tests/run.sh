#!/usr/bin/env bash
# Installs what the tests need, then runs every check, cheapest first. Needs cargo and nothing else.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "==> $*"; }

bash tests/install.sh
if [ -x target/python/bin/python3 ]; then
  export PATH="$PWD/target/python/bin:$PATH"
fi
if [ -x target/newer/prometheus/usr/bin/prometheus ] &&
  [ -x target/newer/victoria-metrics/usr/bin/victoria-metrics ] &&
  [ -x target/newer/prometheus-alertmanager/usr/bin/prometheus-alertmanager ]; then
  export GRAYFLAG_NEWER="$PWD/target/newer"
fi

# What is built once gains nothing by being built in parts.
export CARGO_INCREMENTAL=0

say "cargo fmt"
cargo fmt --check
say "cargo clippy"
cargo clippy --all-targets --quiet -- -D warnings
say "cargo test"
cargo test --quiet --no-run
# All that fails, not only the first; in two halves side by side, since each of them waits at times.
failed=0
cargo test --quiet --no-fail-fast --test 'e2e_*' >target/e2e.log 2>&1 &
ends=$!
trap 'kill "$ends" 2>/dev/null' EXIT
cargo test --quiet --no-fail-fast --lib --bins --test '[!e]*' --test 'e[!2]*' || failed=1
cargo test --quiet --doc || failed=1
wait "$ends" || failed=1
trap - EXIT
cat target/e2e.log
[ "$failed" = 0 ]
say "cargo doc"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
say "all passed"

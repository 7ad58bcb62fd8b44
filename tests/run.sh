#!/usr/bin/env bash
# Everything that must hold before a change goes in: format, lints, docs, tests. Installs what it misses (Debian, by apt).
# Every phase runs, whatever an earlier one found; the last line is the sum, and the exit status says whether all held.
set -uo pipefail
cd "$(dirname "$0")/.."
. samples/packages.sh
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=()

phase() {
  local name=$1 begun=$SECONDS
  shift
  echo "== $name"
  "$@" || failed+=("$name")
  echo "== $name: $((SECONDS - begun)) s"
}

tests() { cargo test --locked --no-fail-fast 2>&1 | tee "$log"; }
build() { cargo test --locked --no-run; }
docs() { RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps; }

phase "packages" need "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
need_rust || exit 1
phase "format" cargo fmt --check
phase "lints" cargo clippy --locked --all-targets -- -D warnings
phase "docs" docs
phase "build" build
phase "tests" tests

count() { grep -o "^test result: .*" "$log" | grep -oE "[0-9]+ $1" | awk '{ sum += $1 } END { print sum + 0 }'; }
echo
[ ${#failed[@]} -eq 0 ] || echo "failed: ${failed[*]}"
# No result at all is a failure too: something kept the tests from running.
[ "$(count passed)" -gt 0 ] || failed+=(tests)
echo "$(count passed) passed, $(count failed) failed, $(count ignored) ignored"
[ ${#failed[@]} -eq 0 ]

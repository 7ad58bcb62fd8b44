#!/usr/bin/env bash
# Formats, lints, documents and tests everything; installs the Debian packages that are missing. One profile, built once.
#   tests/run.sh              all of it
#   tests/run.sh NAME…        only the tests whose names contain one of these
# Among the tests is a short run of the fuzzer; tests/fuzz/main.rs says how to have a long one.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=samples/packages.sh
. samples/packages.sh

phase() {
  local name=$1 begun=$SECONDS
  shift
  echo "== $name"
  "$@"
  echo "== $name: $((SECONDS - begun)) s"
}

# Runs the tests and ends with their sum. A run that executes no test is a failure.
tests() {
  local log status=0
  log=$(mktemp)
  cargo test --lib --bins --tests --no-fail-fast --quiet -- "$@" 2>&1 | tee "$log" || status=$?
  awk '/^test result:/ { passed += $4; failed += $6 } END { printf "%d passed, %d failed\n", passed, failed; exit passed == 0 }' "$log" || status=1
  rm -f "$log"
  return "$status"
}

documents() { RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --quiet; }

phase packages need "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}"
need_rust
need_lints
phase format cargo fmt --check
phase build cargo test --lib --bins --tests --no-run --quiet
phase lint cargo clippy --all-targets --quiet -- -D warnings
phase documents documents
echo "== tests"
tests "$@"

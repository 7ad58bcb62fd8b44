#!/usr/bin/env bash
# hawker on air in one step: installs what is missing (Debian, by apt), builds, and runs `hawker demo`.
# What follows the script's name goes to it: samples/demo.sh --public
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=samples/packages.sh
. samples/packages.sh

need "${BUILD_PACKAGES[@]}" "${DEMO_PACKAGES[@]}"
need_rust
cargo build --release --locked --bin hawker
exec "${CARGO_TARGET_DIR:-target}/release/hawker" demo "$@"

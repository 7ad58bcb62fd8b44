#!/usr/bin/env bash
# Builds hawker and puts a sample seller on air: a product card and a running price countdown in the picture. Prints the links
# to open. Installs the Debian packages that are missing. Arguments go to `hawker demo` (--public lets other machines in).
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=samples/packages.sh
. samples/packages.sh

need "${BUILD_PACKAGES[@]}" "${DEMO_PACKAGES[@]}"
cargo build --release --bin hawker
exec target/release/hawker demo "$@"

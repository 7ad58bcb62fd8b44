#!/usr/bin/env bash
# Makes samples/gallery/THEME.webp, the README's pictures of the built-in themes: samples/scene.json over a frame of the sample
# clip, by `hawker preview`. Needs ffmpeg. HAWKER names a program other than the one that this builds.
#   samples/gallery.sh            all themes
#   samples/gallery.sh THEME…     only these
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=samples/packages.sh
. samples/packages.sh
need "${BUILD_PACKAGES[@]}" "${DEMO_PACKAGES[@]}"
if [ -z "${HAWKER:-}" ]; then
  need_rust
  cargo build --release --locked --bin hawker
  HAWKER=${CARGO_TARGET_DIR:-target}/release/hawker
fi
[ $# -gt 0 ] || set -- boutique flash minimal
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p samples/gallery
# Without its strip of frame numbers, which is for measuring.
ffmpeg -v error -ss 17.1 -i samples/seller.mp4 -frames:v 1 -vf crop=1248:702:16:18 "$work/seller.png"
for theme in "$@"; do
  "$HAWKER" preview "$theme" samples/scene.json --over "$work/seller.png" --canvas 1280x720 -o "$work/$theme.png"
  ffmpeg -v error -y -i "$work/$theme.png" -c:v libwebp -quality 82 -compression_level 6 -map_metadata -1 "samples/gallery/$theme.webp"
  bytes=$(stat -c %s "samples/gallery/$theme.webp")
  [ "$bytes" -lt 150000 ] || { echo "samples/gallery/$theme.webp has $bytes bytes; the README shows pictures below 150000" >&2; exit 1; }
done
ls -l samples/gallery

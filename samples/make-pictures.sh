#!/usr/bin/env bash
# Makes samples/products/*.jpg, the sample products' pictures, from art/products.svg. Needs chromium and ffmpeg.
set -euo pipefail
cd "$(dirname "$0")"
. ./packages.sh
need "${CLIP_PACKAGES[@]}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p products
for product in lipstick weekender candle; do
  sed "s|/\*LAYER\*/|#$product { display: inline }|" art/products.svg > "$work/$product.svg"
  chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$work/chromium" \
    --window-size=800,800 --screenshot="$work/$product.png" "$work/$product.svg" 2> /dev/null
  ffmpeg -v error -y -i "$work/$product.png" -vf scale=640:640:flags=lanczos,format=yuvj444p -q:v 3 -map_metadata -1 "products/$product.jpg"
done
ls -l products

# Debian packages by purpose, and how to get what is missing; sourced by the scripts here and by tests/run.sh.
# shellcheck shell=bash disable=SC2034

# To build hawker: FFmpeg's libraries, and the compiler that reads their headers for the bindings.
BUILD_PACKAGES=(build-essential clang libclang-dev pkg-config
  libavcodec-dev libavformat-dev libavutil-dev libswscale-dev libswresample-dev)
# To run `hawker demo`: the sample seller is an ffmpeg process.
DEMO_PACKAGES=(ffmpeg)
# What tests/run.sh plays hawker against: publishers, an RTSP camera, a browser; the fonts of pictures in every language; Vulkan
# in software for the GPU's compositor.
TEST_PACKAGES=(ffmpeg chromium chromium-driver mesa-vulkan-drivers python3 python3-gi gir1.2-gst-rtsp-server-1.0
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
  fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji)
# To make the sample clip and pictures anew.
CLIP_PACKAGES=(ffmpeg chromium espeak-ng fonts-noto-core)

# Installs those of the named packages that are missing, as root or by sudo; says nothing when none is.
need() {
  local missing=() package as_root=()
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2> /dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo > /dev/null || { echo "please install: ${missing[*]}" >&2; return 1; }
    as_root=(sudo)
  fi
  echo "installing: ${missing[*]}" >&2
  "${as_root[@]}" apt-get update -qq > /dev/null
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
}

# Finds cargo where rustup puts it, for shells that were not told.
need_rust() {
  command -v cargo > /dev/null || PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
  command -v cargo > /dev/null || { echo "hawker is built with Rust 1.95 or later: get it from https://rustup.rs" >&2; return 1; }
}

# A minimal Rust has neither formatter nor linter.
need_lints() {
  cargo fmt --version > /dev/null 2>&1 && cargo clippy --version > /dev/null 2>&1 || rustup component add rustfmt clippy
}

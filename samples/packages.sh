# Debian packages by purpose, and how to get what is missing; sourced by the scripts here and by tests/run.sh.
# shellcheck shell=bash

# To build hawker (FFmpeg's libraries and the headers that its bindings are made from).
BUILD_PACKAGES=(build-essential clang libclang-dev pkg-config cmake
  libavcodec-dev libavformat-dev libavutil-dev libswscale-dev libswresample-dev)
# To run `hawker demo`: the sample seller is an ffmpeg process.
DEMO_PACKAGES=(ffmpeg)
# The clients and servers that tests/run.sh plays hawker against.
TEST_PACKAGES=(ffmpeg chromium chromium-driver python3 python3-gi gir1.2-gst-rtsp-server-1.0
  gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
  gstreamer1.0-libav gstreamer1.0-rtsp)
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
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update -qq > /dev/null
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
}

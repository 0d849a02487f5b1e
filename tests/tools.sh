#!/usr/bin/env bash
# Installs what is missing: `tools.sh build` for the sensor, `tools.sh test` for its tests as well.
set -euo pipefail

packages=()
need() { # need COMMAND-OR-FILE PACKAGE
  command -v "$1" >/dev/null 2>&1 || [ -e "$1" ] || packages+=("$2")
}

need cc build-essential
[ -e /usr/include/pcap.h ] || [ -e /usr/include/pcap/pcap.h ] || packages+=(libpcap-dev)
if [ "${1:-build}" = test ]; then
  need tshark tshark
  need python3 python3
  need prometheus prometheus
  need logrotate logrotate
  need mandoc mandoc
  need shellcheck shellcheck
  need amtool prometheus-alertmanager
  need ip iproute2
  # What reads or builds packages: `make packaging`. cargo-deb comes from crates.io, linters of containers from PyPI.
  need lintian lintian
  need dpkg-shlibdeps dpkg-dev
  need systemd-analyze systemd
  need zsh zsh
  python3 -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)
fi

if [ "${#packages[@]}" -gt 0 ]; then
  echo "installing ${packages[*]}"
  as_root=
  [ "$(id -u)" -eq 0 ] || as_root=sudo
  if ! command -v apt-get >/dev/null; then
    echo "please install ${packages[*]} (no apt-get here)" >&2
    exit 1
  fi
  $as_root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

if ! command -v cargo >/dev/null; then
  echo "a Rust toolchain is needed, version $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or newer: https://rustup.rs" >&2
  exit 1
fi

#!/usr/bin/env bash
# fuzz.sh SECONDS: every fuzz body for so long together. Coverage-guided where cargo-fuzz and a nightly toolchain are at
# hand, else the seeded mutation of the suite; says which.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-600}

if cargo fuzz --version >/dev/null 2>&1 && cargo +nightly --version >/dev/null 2>&1; then
  echo "fuzz: coverage-guided, $seconds s"
  targets=(frames capture parser text)
  seeds=target/fuzz/seeds
  rm -rf "$seeds"
  mkdir -p "$seeds"/{frames,capture,parser,text}
  find pcaps -name '*.pcap*' -size -64k -exec cp -t "$seeds/capture" {} +
  cp rules/*.toml "$seeds/text/"
  # Frames as the body takes them: two bytes of length, one of link type.
  python3 - "$seeds" <<'PY'
import glob, os, struct, sys
seeds = sys.argv[1]
for path in glob.glob("pcaps/**/*.pcap", recursive=True):
    data, at, out = open(path, "rb").read(), 24, b""
    if data[:4] != b"\xd4\xc3\xb2\xa1":
        continue
    while at + 16 <= len(data) and len(out) < 8192:
        length = struct.unpack_from("<I", data, at + 8)[0]
        out += struct.pack(">HB", min(length, 65535), 0) + data[at + 16 : at + 16 + length]
        at += 16 + length
    open(os.path.join(seeds, "frames", os.path.basename(path)), "wb").write(out)
PY
  status=0
  for target in "${targets[@]}"; do
    corpus=target/fuzz/corpus/$target
    mkdir -p "$corpus" target/fuzz/found
    # --sanitizer none: there is no unsafe code to sanitise, and it is five times as fast.
    cargo +nightly fuzz run --sanitizer none --fuzz-dir tests/fuzz --target-dir target/fuzz/build "$target" \
      "$corpus" "$seeds/$target" -- \
      -max_total_time="$((seconds / ${#targets[@]}))" -max_len=16384 -timeout=20 -rss_limit_mb=2048 \
      -artifact_prefix=target/fuzz/found/ -print_final_stats=1 2>&1 | grep -E 'stat::|SUMMARY|panicked|ERROR|Test unit' || status=1
    [ "${PIPESTATUS[0]}" -eq 0 ] || status=1
  done
  ls target/fuzz/found 2>/dev/null | sed 's/^/found: target\/fuzz\/found\//'
  [ -z "$(ls -A target/fuzz/found 2>/dev/null)" ] || status=1
  exit "$status"
fi

echo "fuzz: no cargo-fuzz with a nightly toolchain here, so seeded mutation without coverage, $seconds s"
YUKUE_FUZZ_SECONDS=$seconds cargo test --release --test suite fuzz -- --nocapture

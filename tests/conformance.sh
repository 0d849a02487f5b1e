#!/usr/bin/env bash
# conformance.sh CORPUS SCORER: how close the records come to what independent dissectors see.
# CORPUS is laid out as the scorer expects it (INDEX.tsv, captures/, expected/), SCORER holds score.py and its oracle.
# The floors lie a little below what is reached; they are raised as it improves.
set -euo pipefail
cd "$(dirname "$0")/.."
corpus=${1:-} scorer=${2:-}

if [ -z "$corpus" ] || [ -z "$scorer" ]; then
  echo 'conformance: SKIPPED (set CORPUS and SCORER)'
  exit 0
fi

cargo build --release --quiet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

floors=()
while read -r option floor; do
  floors+=("$option" "$floor")
done < <(sed -e 's/#.*//' -e '/^\s*$/d' tests/conformance.floors)

# --duplicates keep: the oracle counts every packet.
status=0
python3 "$scorer/score.py" \
  --oracle "$scorer/dev-oracle.jsonl.gz" --corpus "$corpus" --jobs "$(nproc)" \
  --command "$PWD/target/release/yukue analyze {file} --out {out} --force --duplicates keep --quiet" \
  --report "$work/report.md" --json "$work/report.json" "${floors[@]}" || status=$?
mkdir -p target/conformance
cp "$work"/report.* target/conformance/ 2>/dev/null || true
echo 'tables: target/conformance/report.md'
exit "$status"

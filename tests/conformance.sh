#!/usr/bin/env bash
# conformance.sh CORPUS SCORER: how close the records come to what independent dissectors see.
# CORPUS is laid out as the scorer expects it (INDEX.tsv, captures/, expected/), SCORER holds score.py and its oracle.
# Floors stand in conformance.floors, each disagreement with its reason in conformance.exceptions.md.
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
status=0

# score NAME OPTION…: one table. --duplicates keep: the oracle counts every packet.
score() {
  python3 "$scorer/score.py" \
    --oracle "$scorer/dev-oracle.jsonl.gz" --corpus "$corpus" --jobs "$(nproc)" \
    --command "$PWD/target/release/yukue analyze {file} --out {out} --force --duplicates keep --quiet" \
    --report "$work/$1.md" --json "$work/$1.json" "${@:2}"
}

# floors SECTION: the options below that heading, above the next; the first part has no heading.
floors() {
  awk -v want="$1" '/^\[/ { part = $0; next } part == want' tests/conformance.floors | sed -e 's/#.*//' -e '/^\s*$/d'
}

read -ra least <<<"$(floors '' | tr '\n' ' ')"
score report "${least[@]}" || status=1
for section in $(sed -n 's/^\[only \(.*\)\]$/\1/p' tests/conformance.floors); do
  read -ra least <<<"$(floors "[only $section]" | tr '\n' ' ')"
  verdict=ok
  score "$section" --only "$section" "${least[@]}" >"$work/said" || verdict=BELOW status=1
  grep '^BELOW' "$work/said" || true
  echo "only $section: $verdict (${least[*]})"
done
python3 tests/exceptions.py "$work/report.json" tests/conformance.exceptions.md "$corpus/INDEX.tsv" || status=1

mkdir -p target/conformance
cp "$work"/*.md "$work"/*.json target/conformance/ 2>/dev/null || true
echo 'tables: target/conformance/report.md'
exit "$status"

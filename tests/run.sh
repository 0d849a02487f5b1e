#!/usr/bin/env bash
# `make test`: every part, its minutes, and a closing line. A part that fails does not stop the others.
set -uo pipefail
cd "$(dirname "$0")/.."

passed=0 failed=0 report=()

part() { # part NAME COMMAND…
  local name=$1 start=$SECONDS
  shift
  echo "== $name"
  if "$@"; then
    passed=$((passed + 1)) verdict=ok
  else
    failed=$((failed + 1)) verdict=FAILED
  fi
  report+=("$(printf '%-14s %-7s %5.1f min' "$name" "$verdict" "$(awk "BEGIN { print ($SECONDS - $start) / 60 }")")")
}

part lint make --no-print-directory lint
part suite cargo test
part statistics make --no-print-directory statistics
part grafana bash tests/grafana.sh
part api tests/api.sh
part licenses make --no-print-directory licenses
part conformance make --no-print-directory conformance CORPUS="${CORPUS:-}" SCORER="${SCORER:-}"
part scorecard make --no-print-directory scorecard-small
part bench make --no-print-directory bench-quick
part packaging bash tests/packaging.sh

echo
printf '%s\n' "${report[@]}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

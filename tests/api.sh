#!/usr/bin/env bash
# The API before independent judges: schemathesis (PyPI) makes requests from our OpenAPI document, promtool (Debian's
# package prometheus) reads our metrics. What is not installed is installed into target/, or said to be SKIPPED.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ -z "${SCHEMATHESIS:-}" ]; then
  tools=target/api-tools
  if [ ! -x "$tools/bin/schemathesis" ]; then
    python3 -m venv "$tools" && "$tools/bin/pip" --quiet install schemathesis==4.32.5 \
      || { echo 'SKIPPED: schemathesis cannot be installed'; exit 0; }
  fi
  SCHEMATHESIS=$PWD/$tools/bin/schemathesis
fi
export SCHEMATHESIS
exec cargo test --quiet --lib api::tests::tools -- --include-ignored --nocapture

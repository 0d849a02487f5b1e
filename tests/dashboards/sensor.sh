#!/usr/bin/env bash
# Puts something to scrape in front of ladder.py: the stand-in, until the sensor itself can be had here.
set -euo pipefail
cd "$(dirname "$0")/../.."

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
echo 'SKIPPED: the real sensor (this build has no `live` with an endpoint); a STAND-IN serves the table of metrics:'
echo 'what follows proves queries, rules and routes, and nothing about the sensor'
python3 tests/dashboards/standin.py "$port" &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT
for _ in $(seq 50); do
  curl -sf "http://127.0.0.1:$port/metrics" >/dev/null && break
  sleep 0.1
done
curl -sf "http://127.0.0.1:$port/metrics" | promtool check metrics
python3 tests/dashboards/ladder.py "$port"

#!/usr/bin/env bash
# Puts something to scrape in front of ladder.py: the real sensor, capturing what is replayed on a veth pair in a network
# namespace of its own, with its metrics and its API; where that cannot be had, a stand-in for its metrics, and says so.
set -euo pipefail
cd "$(dirname "$0")/../.."

standin() { # standin WHY
  echo "SKIPPED: the real sensor ($1). A STAND-IN serves the table of metrics instead:"
  echo 'what follows proves queries, rules and routes, and nothing about the sensor'
  local port
  port=$(free)
  python3 tests/dashboards/standin.py "$port" &
  trap "kill $! 2>/dev/null || true" EXIT
  until curl -sf "http://127.0.0.1:$port/metrics" >/dev/null; do sleep 0.2; done
  curl -sf "http://127.0.0.1:$port/metrics" | promtool check metrics
  python3 tests/dashboards/ladder.py "$port"
}

free() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

real() { # real, inside the namespace
  folder=$1 token=ladder-0123456789abcdef sender=
  port=$(free)
  ip link set lo up
  ip link add span0 mtu 9000 type veth peer name wire0 mtu 9000
  ip link set span0 up
  ip link set wire0 up
  printf '[[token]]\nname = "grafana"\nrole = "viewer"\nsha256 = "%s"\n' "$(printf %s "$token" | sha256sum | cut -d' ' -f1)" >"$folder/tokens.toml"
  printf %s "$token" >"$folder/token"
  "$YUKUE" live -i span0 --log-dir "$folder/log" --inside 10.20.0.0/16 \
    "$listen" "127.0.0.1:$port" --web.token-file "$folder/tokens.toml" 2>"$folder/said" &
  sensor=$!
  trap 'kill "$sensor" ${sender:+"$sender"} 2>/dev/null || true; wait 2>/dev/null || true' EXIT
  for _ in $(seq 150); do
    curl -sf "http://127.0.0.1:$port/-/ready" >/dev/null && break
    kill -0 "$sensor" || { cat "$folder/said"; return 1; }
    sleep 0.2
  done
  curl -sf "http://127.0.0.1:$port/metrics" | promtool check metrics
  # One deed that is critical by itself, the campaign many times faster than it was, then an office, so that no rate is 0.
  python3 tests/dashboards/replay.py wire0 20:pcaps/attack/directory-secrets.pcap \
    400:pcaps/attack/staging-antivirus-push.pcap 100:pcaps/benign/office-day.pcap >"$folder/sent" &
  sender=$!
  PATIENCE_S=180 python3 tests/dashboards/ladder.py "$port" "$folder/token" || { tail -20 "$folder/said"; return 1; }
  kill "$sender" && wait "$sender" || true
  echo "replayed: $(cat "$folder/sent")"
}

export -f real free
if [ -z "${YUKUE:-}" ]; then
  # The binary that the suite runs, which is there already when the suite has run.
  cargo test --quiet --no-run --test allocations
  YUKUE=target/debug/yukue
fi
export YUKUE
listen=$("$YUKUE" live --help 2>/dev/null | grep -oE -- '--web\.listen[a-z-]*' | head -1 || true)
export listen
if [ -n "${STANDIN:-}" ]; then
  standin 'STANDIN is set'
elif [ -z "$listen" ]; then
  standin 'this build has no `live` with an endpoint'
elif [ "$(id -u)" -ne 0 ]; then
  standin 'a network namespace needs root'
elif ! unshare --net true 2>/dev/null; then
  standin 'no network namespaces here'
else
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  unshare --net bash -euo pipefail -c 'real "$1"' - "$folder"
fi

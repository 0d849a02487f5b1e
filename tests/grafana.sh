#!/usr/bin/env bash
# The part of the dashboards' tests that needs Prometheus and Alertmanager: rules fire, stay quiet and clear; alerts take
# the right way; a real Prometheus scrapes, answers every panel's query, and wakes a webhook through a real Alertmanager.
# What cannot be done here is said with SKIPPED. No Grafana is started: none can be had as a package.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for tool in promtool prometheus prometheus-alertmanager amtool python3; do
  command -v "$tool" >/dev/null || missing+=("$tool")
done
if [ "${#missing[@]}" -gt 0 ]; then
  echo "SKIPPED: no ${missing[*]} (tests/tools.sh test installs them from Debian)"
  exit 0
fi

echo '-- rules: promtool check, promtool test'
promtool check rules grafana/prometheus/yukue.rules.yml
promtool check config grafana/prometheus/prometheus.yml >/dev/null
(cd grafana/prometheus && promtool test rules yukue.rules.test.yml)

echo '-- routes: amtool'
routes=grafana/alertmanager/example.yml
amtool check-config "$routes" >/dev/null
routed() { # routed RECEIVER LABEL…
  local got
  got=$(amtool config routes test --config.file="$routes" "${@:2}" 2>/dev/null)
  [ "$got" = "$1" ] || { echo "${*:2} goes to $got, not to $1" >&2; return 1; }
  echo "${*:2} → $got"
}
routed security alertname=YukueHighSeverityOpen severity=critical level=high
routed pager alertname=YukueDown severity=critical
routed pager alertname=YukueCaptureSilent severity=critical interface=span0
routed chat alertname=YukueIntelStale severity=warning
routed chat alertname=SomethingElse

echo '-- scrape, query, wake'
bash tests/dashboards/sensor.sh

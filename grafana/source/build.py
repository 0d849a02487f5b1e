#!/usr/bin/env python3
"""Writes everything in `grafana/` that is generated. `--check` writes nothing and fails if a file would change.

Needs nothing but Python's own library (3.11 or newer). Users never need it: what it writes is committed.
"""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

import alerts
import detections
import egress
import fleet
import rule_tests
import sensor_health
import staging

HERE = Path(__file__).resolve().parents[1]
DASHBOARDS = {
    "fleet": fleet, "sensor-health": sensor_health, "egress": egress, "detections": detections, "staging": staging,
}


def made():
    """Path below `grafana/` → text."""
    files = {}
    for name, module in DASHBOARDS.items():
        files[f"dashboards/{name}.json"] = json.dumps(module.DASHBOARD, indent=2, ensure_ascii=False) + "\n"
    files["prometheus/yukue.rules.yml"] = alerts.prometheus()
    files["prometheus/yukue.rules.test.yml"] = rule_tests.tests()
    files["provisioning/alerting/yukue-rules.yaml"] = alerts.grafana()
    return files


def main():
    """Writes, or compares."""
    stale = []
    for name, text in made().items():
        path = HERE / name
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    if stale and "--check" in sys.argv:
        sys.exit(f"not what grafana/source makes: {', '.join(stale)}; run python3 grafana/source/build.py")


if __name__ == "__main__":
    main()

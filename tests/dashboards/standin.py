"""A stand-in for the sensor's endpoint, for machines on which the sensor cannot capture: every metric of
`grafana/source/metrics.tsv` with its labels, counters that count, gauges that stand. It proves that queries, rules and
routing work on a real Prometheus; it proves nothing about the sensor, and `tests/grafana.sh` says so when it is used.
"""

import itertools
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "grafana/source/metrics.tsv"
DETECTORS = [path.stem for path in (ROOT / "rules").glob("*.toml") if "\nenabled = " in path.read_text("utf-8")]

# A few values a label, those that rules and dashboards ask for among them.
VALUES = {
    "stage": ["nic", "kernel", "queue", "shed"], "interface": ["span0"], "detector": DETECTORS,
    "severity": ["info", "low", "medium", "high", "critical"], "reason": ["fin", "evicted", "allowlist"], "kind": ["flows", "alerts"],
    "source_role": ["workstation", "mgmt_server"], "dest_role": ["workstation", "server"], "direction": ["out", "in"],
    "destination_class": ["saas", "unknown"], "role": ["workstation", "server"], "state": ["learning", "ready", "stale"],
}
BOUNDS = ["0.01", "0.1", "1", "10", "+Inf"]
STARTED = time.time()


def exposition():
    """The text a scrape gets; counters rise by 3 a second, one alert is open."""
    age = int(time.time() - STARTED)
    lines = []
    for row in TABLE.read_text("utf-8").splitlines()[1:]:
        name, kind, labels = row.split("\t")
        names = [label for label in labels.split(",") if label]
        lines += [f"# HELP yukue_{name} Stand-in.", f"# TYPE yukue_{name} {kind}"]
        for values in itertools.product(*(VALUES.get(label, ["a"]) for label in names)):
            pairs = dict(zip(names, values))
            if kind == "histogram":
                for n, bound in enumerate(BOUNDS):
                    lines.append(series(f"{name}_bucket", {**pairs, "le": bound}, 3 * age * (n + 1)))
                lines.append(series(f"{name}_sum", pairs, age))
                lines.append(series(f"{name}_count", pairs, 3 * age * len(BOUNDS)))
            else:
                lines.append(series(name, pairs, 3 * age if kind == "counter" else standing(name, pairs)))
    process = {"cpu_seconds_total": age / 2, "resident_memory_bytes": 1e8, "open_fds": 20, "start_time_seconds": STARTED}
    lines += [f"# HELP process_{name} Stand-in.\nprocess_{name} {value}" for name, value in process.items()]
    return "\n".join(lines) + "\n"


def standing(name, pairs):
    """What a gauge is at."""
    if name == "alerts_open":
        return int(pairs == {"detector": "common_cause", "severity": "critical"})
    if name.endswith("_timestamp_seconds"):
        return time.time() - 2
    return 1000 if "limit" in name else 1


def series(name, pairs, value):
    """One line."""
    labels = ",".join(f'{key}="{text}"' for key, text in pairs.items())
    return f"yukue_{name}{{{labels}}} {value}" if labels else f"yukue_{name} {value}"


class Answer(BaseHTTPRequestHandler):
    """`/metrics` and nothing else."""

    def do_GET(self):
        """Answers a scrape."""
        body = exposition().encode()
        self.send_response(200 if self.path == "/metrics" else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        with suppress(BrokenPipeError):
            self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()

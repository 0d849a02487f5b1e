"""The dashboards' queries on a real Prometheus, and its alerts through a real Alertmanager to a webhook.

    ladder.py SENSOR_PORT [TOKEN_FILE]

Somebody serves the sensor's metrics at SENSOR_PORT already. With a token, the sensor's API is there too, and each request
that a dashboard makes of it through Infinity is made and its columns looked for. Exit code 1 says what was empty or wrong.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).resolve().parents[2] / "grafana"
# A rate needs two scrapes; a busy machine needs patience for them.
SCRAPES, SCRAPES_WITHIN_S = 4, 180
# How long an alert may take. The sensor tells of a campaign within half a minute of event time.
PATIENCE_S = float(os.environ.get("PATIENCE_S", "40"))
# What Grafana would put in place of its variables.
VARIABLES = {"$__rate_interval": "1m", "$__range": "5m", "${__from}": "0", "${__to}": "9999999999999"}
RECEIVED = []


def main():
    """Starts all, asks all, ends all."""
    sensor, token = int(sys.argv[1]), Path(sys.argv[2]).read_text().strip() if len(sys.argv) > 2 else None
    hook = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    wrong, started = [], []
    with tempfile.TemporaryDirectory() as folder:
        try:
            prometheus = start(Path(folder), sensor, hook.server_address[1], started)
            wait_for(f"{prometheus}/-/ready", "Prometheus")
            wait_for_scrapes(prometheus)
            wrong += undelivered()
            wrong += empty_panels(prometheus)
            wrong += unhealthy(prometheus)
            if token:
                wrong += unanswered(f"http://127.0.0.1:{sensor}", token)
            else:
                print("SKIPPED: the dashboards' requests of the API (no sensor that serves one)")
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(20)
    for line in wrong:
        print(f"  {line}")
    sys.exit(bool(wrong))


def start(folder, sensor, hook, started):
    """Prometheus and Alertmanager with the shipped rules and routes, faster and here; gives Prometheus' address."""
    ports = [free() for _ in range(2)]
    rules = (HERE / "prometheus/yukue.rules.yml").read_text("utf-8").replace('interval: "30s"', 'interval: "2s"')
    (folder / "yukue.rules.yml").write_text(rules, "utf-8")
    config = (HERE / "prometheus/prometheus.yml").read_text("utf-8").replace("scrape_interval: 15s", "scrape_interval: 5s\n  scrape_timeout: 5s")
    config = config.replace("127.0.0.1:9477", f"127.0.0.1:{sensor}").replace("127.0.0.1:9093", f"127.0.0.1:{ports[1]}")
    (folder / "prometheus.yml").write_text(config, "utf-8")
    routes = (HERE / "alertmanager/example.yml").read_text("utf-8").replace("127.0.0.1:5001", f"127.0.0.1:{hook}")
    (folder / "alertmanager.yml").write_text(re.sub(r"group_wait: \d+s", "group_wait: 1s", routes), "utf-8")
    log = open(folder / "log", "w")
    # Alertmanager first: what fires while it is away is sent again only after a minute.
    for command in (
        ["prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml", f"--web.listen-address=127.0.0.1:{ports[1]}",
         "--cluster.listen-address=", f"--storage.path={folder}/am"],
        ["prometheus", f"--config.file={folder}/prometheus.yml", f"--web.listen-address=127.0.0.1:{ports[0]}",
         f"--storage.tsdb.path={folder}/tsdb"],
    ):
        started.append(subprocess.Popen(command, stdout=log, stderr=log))
        if "alertmanager" in command[0]:
            wait_for(f"http://127.0.0.1:{ports[1]}/-/ready", "Alertmanager")
    return f"http://127.0.0.1:{ports[0]}"


def empty_panels(prometheus):
    """Panels of which no query gives a number. A series at 0 is a number, NaN is none."""
    found, asked = [], 0
    for board, panel in panels():
        queries = [fill(t["expr"]) for t in panel["targets"] if "expr" in t]
        if not queries:
            continue
        asked += len(queries)
        if not any(numbers(prometheus, query) for query in queries):
            found.append(f"{board}: {panel['title']}: nothing from {queries}")
    print(f"{asked} queries asked, {len(found)} panels empty")
    return found


def numbers(prometheus, query):
    """How many series a query gives that are numbers."""
    answer = get(f"{prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": query}))
    result = answer["data"]["result"]
    return sum(1 for each in result if each["value"][1] != "NaN")


def undelivered():
    """The alert that must have come through, with what a person needs."""
    deadline = time.time() + PATIENCE_S
    while time.time() < deadline:
        for path, alert in list(RECEIVED):
            if alert["labels"]["alertname"] == "YukueHighSeverityOpen" and alert["status"] == "firing":
                missing = [key for key in ("summary", "description", "runbook_url", "dashboard_url") if not alert["annotations"].get(key)]
                print(f"delivered to {path}: {alert['annotations'].get('summary')}")
                return [f"an alert without {missing}"] * bool(missing) + ["not to /security"] * (path != "/security")
        time.sleep(0.5)
    return [f"YukueHighSeverityOpen did not reach the webhook; what did: {[a['labels'] for _, a in RECEIVED]}"]


def unhealthy(prometheus):
    """Rules that Prometheus cannot evaluate, targets it cannot scrape."""
    groups = get(f"{prometheus}/api/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    print(f"{len(rules)} rules evaluated")
    targets = get(f"{prometheus}/api/v1/targets")["data"]["activeTargets"]
    return [f"{r['name']}: {r.get('lastError')}" for r in rules if r["health"] != "ok"] + [
        f"{t['scrapeUrl']}: {t['lastError']}" for t in targets if t["health"] != "up"]


def unanswered(sensor, token):
    """Requests of dashboards that the API refuses or has nothing for, and columns that it promises and no row has."""
    document = get(f"{sensor}/api/v1/openapi.json")
    found, asked, most = [], set(), {}
    for board, panel in panels():
        for target in panel["targets"]:
            if "url_options" not in target:
                continue
            given = [(p["key"], fill(p["value"])) for p in target["url_options"]["params"]]
            # `All` of a variable is a list of what there is, which the API takes as well as no list.
            url = f"{sensor}{target['url']}?" + urllib.parse.urlencode([(k, v) for k, v in given if "$" not in v])
            where = f"{board}: {panel['title']}: {url}"
            asked.add(url)
            try:
                rows = get(url, token)[target["root_selector"]]
            except (urllib.error.HTTPError, KeyError, TypeError) as error:
                found.append(f"{where}: {error!r}")
                continue
            most[target["url"]] = max(len(rows), most.get(target["url"], 0))
            promised = set(row_schema(document, target)["required"])
            columns = {column["selector"] for column in target["columns"]}
            missing = {key for row in rows for key in columns & promised - set(row)}
            if missing:
                found.append(f"{where}: {len(rows)} rows, some without {sorted(missing)}")
    print(f"{len(asked)} different requests made of the API; rows at most: {most}")
    return found + [f"{path}: no rows" for path, rows in most.items() if not rows]


def row_schema(document, target):
    """What the API's document says of one row."""
    get_it = document["paths"][target["url"]]["get"]
    rows = get_it["responses"]["200"]["content"]["application/json"]["schema"]["properties"][target["root_selector"]]
    return document["components"]["schemas"][rows["items"]["$ref"].rsplit("/", 1)[1]]


def panels():
    """Every panel but the rows, with the name of its dashboard."""
    for path in sorted((HERE / "dashboards").glob("*.json")):
        board = json.loads(path.read_text("utf-8"))
        for panel in board["panels"]:
            for each in (panel, *panel.get("panels", [])):
                if each["type"] != "row":
                    yield path.stem, each


def fill(text):
    """A query with Grafana's variables filled in, `All` for every choice."""
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    return re.sub(r'"\$\w+"', '".+"', text)


def get(url, token=None):
    """JSON from an address."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def wait_for(url, who, seconds=60):
    """Until it answers."""
    deadline = time.time() + seconds
    while time.time() < deadline:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.3)
    raise SystemExit(f"{who} did not come up within {seconds} s")


def wait_for_scrapes(prometheus):
    """Until the sensor has been scraped a few times."""
    deadline = time.time() + SCRAPES_WITHIN_S
    while time.time() < deadline:
        answer = get(f"{prometheus}/api/v1/query?query=sum_over_time(up[10m])")["data"]["result"]
        if answer and float(answer[0]["value"][1]) >= SCRAPES:
            return
        time.sleep(1)
    raise SystemExit(f"not scraped {SCRAPES} times within {SCRAPES_WITHIN_S} s")


def free():
    """A port nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Hook(BaseHTTPRequestHandler):
    """What Alertmanager tells."""

    def do_POST(self):
        """Keeps the alerts of one message."""
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        RECEIVED.extend((self.path, alert) for alert in message["alerts"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        """Says nothing."""


if __name__ == "__main__":
    main()

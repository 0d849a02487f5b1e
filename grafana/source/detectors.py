"""The detectors in families, and what each looks for: read from `rules/<stem>.toml`, so that it is said once."""

import re
from pathlib import Path

RULES = Path(__file__).resolve().parents[2] / "rules"

FAMILIES = [
    ("Somebody staged it: servers and the machines they reach", [
        "common_cause", "execution_chain", "management_egress", "push_pattern", "admin_path", "entry", "policy",
        "hub_suspect"]),
    ("Acts on other machines", [
        "remote_execution", "execution_fan_out", "enumeration", "coerced_authentication", "telltale_call", "script_download"]),
    ("Calls home", [
        "beacon", "coordinated_poller", "long_connection", "dga", "direct_address", "remote_management", "feed"]),
    ("Data that leave", ["upload_tail", "slow_drip", "cohort_exfiltration"]),
    ("Hidden in something else", [
        "dns_tunnel", "icmp_tunnel", "encrypted_dns", "resolver_bypass", "protocol_mismatch", "sni_mismatch", "client_mismatch"]),
    ("Unusual for this host", ["host_anomaly", "new_destination", "rare_destination", "off_hours", "drift", "new_service"]),
]


def described():
    """Stem → what the rule's opening comment says: what it is, and what else looks like it."""
    found = {}
    for path in sorted(RULES.glob("*.toml")):
        rule = path.read_text("utf-8").splitlines()
        if not any(line.startswith("enabled = ") for line in rule):
            continue  # An example, or words.
        lines = []
        for line in rule:
            if not line.startswith("#"):
                break
            lines.append(line.removeprefix("#").strip())
        text = re.sub(r"\s+(Catalogue|ATT&CK|Measure:|Evasion:)\b.*?(?=\s[A-Z][a-z]+ false positives|\Z)", "", " ".join(lines))
        found[path.stem] = text
    return found


def families():
    """(family, [(stem, text)]); every rule must be in one family."""
    texts = described()
    listed = [stem for _, stems in FAMILIES for stem in stems]
    if sorted(listed) != sorted(texts):
        raise SystemExit(f"FAMILIES in grafana/source/detectors.py and rules/ differ: {sorted(set(listed) ^ set(texts))}")
    return [(family, [(stem, texts[stem]) for stem in stems]) for family, stems in FAMILIES]

#!/usr/bin/env python3
"""recompute.py FILE...: every score of findings.jsonl and alerts.jsonl again, from the claim's own reasons alone.

Exits with 1 and names each claim whose score, p or sum does not come out. What each measure means is said in
rules/README.md; the formulas are those of the detectors.
"""
import json
import math
import sys

FLOOR = 1e-6  # Smallest p a regularity is told with.


def value(reasons, measure):
    """What was observed, or None."""
    return next((r["observed"] for r in reasons if r["measure"] == measure), None)


def limit(reasons, measure):
    """What it is held against, or None."""
    return next((r.get("limit") for r in reasons if r["measure"] == measure), None)


def regularity(reasons):
    """p of a rhythm: ln p linear in the dispersion between the quantiles of the row used; alike sizes weigh 0.3."""
    b = value(reasons, "gap_dispersion")
    at = [value(reasons, f"dispersion_at_p_{p}") for p in ("0_001", "0_01", "0_05")]
    ln = [math.log(p) for p in (0.001, 0.01, 0.05)]
    low = 0 if b <= at[1] else 1
    p = math.exp(ln[low] + (b - at[low]) / (at[low + 1] - at[low]) * (ln[low + 1] - ln[low]))
    p = min(max(p, FLOOR), 1.0)
    spread = value(reasons, "request_size_spread")
    if spread is not None and spread <= limit(reasons, "request_size_spread"):
        p = max(p * 0.3, FLOOR)
    return p


def recomputed(claim):
    """(score, p, what else must agree), from the reasons."""
    reasons = claim["reasons"]
    checks = []
    if value(reasons, "severity_weight") is not None:
        return value(reasons, "severity_weight"), None, checks
    if claim["detector"] == "beacon":
        p = regularity(reasons)
        return min(-math.log10(p) / 6, 1.0), p, checks
    if claim["detector"] == "host_anomaly":
        groups = [r for r in reasons if r["measure"].endswith("_group")]
        checks.append((value(reasons, "surprise"), sum(min(r["observed"], r["limit"]) for r in groups)))
        p = (value(reasons, "host_days_as_unusual") + 1) / (value(reasons, "host_days") + 1)
        return min(max(-math.log10(p) / 6, 0.0), 1.0), p, checks
    parts = [0.0]
    if value(reasons, "surprise") is not None:
        checks.append((value(reasons, "surprise"), sum(r.get("weight_nats", 0.0) for r in reasons)))
        parts.append(min(max(value(reasons, "surprise") / limit(reasons, "surprise"), 0.0), 1.0))
    p = value(reasons, "family_wise_p")
    if p is not None:
        parts.append(min(-math.log10(max(p, 1e-30)) / 10, 1.0))
    return max(parts), p, checks


def main():
    wrong, count = [], 0
    for path in sys.argv[1:]:
        for line in open(path, encoding="utf-8"):
            claim = json.loads(line)
            score, p, checks = recomputed(claim)
            checks += [(claim["score"], score)] + ([(claim["p"], p)] if "p" in claim and p is not None else [])
            count += 1
            for told, again in checks:
                if not math.isclose(told, again, rel_tol=1e-9, abs_tol=1e-12):
                    wrong.append(f"{path}: {claim['detector']} {claim['id']}: {told} is told, {again} comes out")
    print("\n".join(wrong) or f"{count} claims come out as told")
    return 1 if wrong or not count else 0


if __name__ == "__main__":
    sys.exit(main())

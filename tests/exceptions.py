"""exceptions.py REPORT.json EXCEPTIONS.md INDEX.tsv: every disagreement with the oracle must stand in the list, and
what stands in the list must still disagree. `--write` prints the table anew, keeping the reasons."""
import csv
import json
import re
import sys


def differing(report):
    """Capture id → kinds that differ there."""
    found = {}
    for capture in json.load(open(report))["per_capture"]:
        kinds = {re.match(r"[a-z0-9_.]+(?: extra)?", d).group() for d in capture["differences"]}
        if kinds:
            found[capture["id"]] = kinds
    return found


def listed(path):
    rows = (line.strip().strip("|").split("|") for line in open(path) if line.startswith("| C"))
    return {cells[0].strip(): (cells[1].strip(), *(cell.strip() for cell in cells[2:])) for cells in rows}


def main(report, exceptions, index, *mode):
    found, known = differing(report), listed(exceptions)
    if mode == ("--write",):
        names = {row[0]: row[2] + " " + row[3].split("/")[-1] for row in csv.reader(open(index), delimiter="\t")}
        for capture in sorted(found):
            who, why = known.get(capture, ("", "", "?", "?"))[2:4]
            print(f"| {capture} | {names[capture]} | {', '.join(sorted(found[capture]))} | {who} | {why} |")
        return 0
    status = 0
    for capture in sorted(found):
        allowed = set(known[capture][1].split(", ")) if capture in known else set()
        for kind in sorted(found[capture] - allowed):
            print(f"not in the list of exceptions: {capture} {kind}")
            status = 1
    for capture in sorted(set(known) - set(found)):
        print(f"agrees by now, take it off the list of exceptions: {capture}")
        status = 1
    print(f"exceptions: {len(known)} listed, {len(found)} captures differ")
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""Sends captures' frames on an interface, faster than they came, the last capture again and again until it is ended.

    replay.py INTERFACE SPEED:FILE…

Plain pcap files of Ethernet frames, as `pcaps/` holds them. Frames longer than the interface takes are counted and left
out, so give it a large MTU. At the end it says what it sent.
"""

import itertools
import signal
import socket
import struct
import sys
import time
from pathlib import Path

MAGIC = {b"\xd4\xc3\xb2\xa1": ("<", 1e6), b"\xa1\xb2\xc3\xd4": (">", 1e6), b"\x4d\x3c\xb2\xa1": ("<", 1e9), b"\xa1\xb2\x3c\x4d": (">", 1e9)}


def frames(path):
    """Seconds and bytes of each record."""
    data = Path(path).read_bytes()
    order, parts = MAGIC[data[:4]]
    if struct.unpack(f"{order}I", data[20:24])[0] != 1:
        sys.exit(f"{path}: not Ethernet")
    at = 24
    while at + 16 <= len(data):
        seconds, part, kept, _ = struct.unpack(f"{order}IIII", data[at:at + 16])
        yield seconds + part / parts, data[at + 16:at + 16 + kept]
        at += 16 + kept


def main():
    """One file after the other."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sent = refused = 0
    files = [each.split(":", 1) for each in sys.argv[2:]]
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((sys.argv[1], 0))
            for speed, path in itertools.chain(files, itertools.repeat(files[-1])):
                for frame in paced(path, float(speed)):
                    try:
                        wire.send(frame)
                        sent += 1
                    except OSError:
                        refused += 1
    finally:
        print(f"{sent} frames sent, {refused} refused")


def paced(path, speed):
    """Frames, each when its time has come."""
    first, began = None, time.monotonic()
    for at, frame in frames(path):
        first = at if first is None else first
        ahead = (at - first) / speed - (time.monotonic() - began)
        if ahead > 0:
            time.sleep(ahead)
        yield frame


if __name__ == "__main__":
    main()

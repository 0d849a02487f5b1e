"""Sends a capture's frames on an interface, faster than they came.

    replay.py INTERFACE SPEED FILE…

Plain pcap files of Ethernet frames, as `pcaps/` holds them. Frames longer than the interface takes are counted and left
out, so give it a large MTU.
"""

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
    interface, speed = sys.argv[1], float(sys.argv[2])
    sent = refused = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((interface, 0))
        for path in sys.argv[3:]:
            first, began = None, time.monotonic()
            for at, frame in frames(path):
                first = at if first is None else first
                ahead = (at - first) / speed - (time.monotonic() - began)
                if ahead > 0:
                    time.sleep(ahead)
                try:
                    wire.send(frame)
                    sent += 1
                except OSError:
                    refused += 1
    print(f"{sent} frames sent, {refused} refused")
    sys.exit(bool(refused))


if __name__ == "__main__":
    main()

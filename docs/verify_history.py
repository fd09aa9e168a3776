#!/usr/bin/env python3
"""Checks an exported history without Orrery: verify_history.py SUBJECT FILE (- reads standard input).

SUBJECT is `job/<namespace>/<job id>`. Exit 0: whole and undamaged; 1: damaged, with the first wrong entry's number.
The format is in docs/history-format.md. Nothing beyond Python's standard library is needed.
"""

import hashlib
import json
import sys

ENTRY = '{"seq":%d,"prev_hash":"%s","hash":"%s","event":%s}'
CLOSING = '{"count":%d,"head":"%s","exported_at":%s}'


def verify(subject, data):
    """Gives the count and the head; raises ValueError with what is wrong."""
    head = hashlib.sha256(b"orrery history 1\n" + subject.encode()).hexdigest()
    count, closed = 0, False
    for line in data.removesuffix(b"\n").split(b"\n"):
        wrong = f"entry {count + 1}: "
        if closed:
            raise ValueError(wrong + "there is more after the closing line")
        try:
            text = line.decode()
            found = json.loads(text)
            event = text.partition(',"event":')[2][:-1]
            if "count" in found:
                expected = CLOSING % (count, head, json.dumps(found["exported_at"]))
                closed = True
            else:
                framed = bytes.fromhex(head) + len(event.encode()).to_bytes(8, "big") + event.encode()
                following = hashlib.sha256(framed).hexdigest()
                expected = ENTRY % (count + 1, head, following, event)
                count, head = count + 1, following
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(wrong + f"not in the export's form ({error})") from error
        if text != expected:
            raise ValueError(wrong + "its number, hashes or form are not what they must be")
    if not closed:
        raise ValueError(f"entry {count + 1}: the closing line is missing")
    return count, head


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with sys.stdin.buffer if sys.argv[2] == "-" else open(sys.argv[2], "rb") as file:
        try:
            print("verified: %d events, head %s" % verify(sys.argv[1], file.read()))
        except ValueError as damage:
            sys.exit(str(damage))

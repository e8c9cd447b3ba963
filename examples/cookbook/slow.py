"""Ask five questions over a slow network: one after another, and all at once."""

import socket
import sys
import time

with socket.create_connection(("localhost", int(sys.argv[1])), timeout=10) as sock:
    answers = sock.makefile("rb")

    began = time.monotonic()
    for number in range(5):
        sock.sendall(b"question %d\n" % number)
        answers.readline()
    print(f"one after another: {time.monotonic() - began:.1f} s")

    began = time.monotonic()
    sock.sendall(b"".join(b"question %d\n" % number for number in range(5)))
    for _ in range(5):
        answers.readline()
    print(f"all at once: {time.monotonic() - began:.1f} s")

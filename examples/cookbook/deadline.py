"""Wait at most one second for the whole answer."""

import socket
import sys
import time


def readLine(sock, deadline):
    line = b""
    while not line.endswith(b"\n"):
        sock.settimeout(max(0.001, deadline - time.monotonic()))  # the rest of it, not a new second
        piece = sock.recv(4096)
        if not piece:
            raise ConnectionError("the answer ends before its newline")
        line += piece
    return line[:-1].decode()


with socket.create_connection(("localhost", int(sys.argv[1])), timeout=1) as sock:
    sock.sendall(b"abcdefghijklmnopqrstuvwxyz\n")
    try:
        print(readLine(sock, time.monotonic() + 1))
    except TimeoutError:
        print("no whole answer in 1 s: gave up")

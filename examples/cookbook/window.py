"""Say a lot to somebody who does not read for a while, and lose nothing."""

import socket
import sys

with socket.create_connection(("localhost", int(sys.argv[1])), timeout=0.5) as sock:
    left, closed = memoryview(bytes(32_000_000)), False
    while left:
        try:
            left = left[sock.send(left[:65536]) :]  # sendall would not say how far it came
        except TimeoutError:
            if not closed:
                print("nothing was taken for 0.5 s: the window is closed")
            closed = True
    sock.shutdown(socket.SHUT_WR)
    sock.settimeout(5)
    print("all is said; the server's end:", sock.recv(1))

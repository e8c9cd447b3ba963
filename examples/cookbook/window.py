"""Send a lot to a server that stops reading for a while, and lose nothing."""

import socket
import sys

with socket.create_connection(("localhost", int(sys.argv[1])), timeout=0.5) as sock:
    left, closed = memoryview(bytes(32_000_000)), False
    while left:
        try:
            left = left[sock.send(left[:65536]) :]  # sendall would hide how much was sent
        except TimeoutError:
            if not closed:
                print("no byte was accepted for 0.5 s: the window is closed")
            closed = True
    sock.shutdown(socket.SHUT_WR)
    sock.settimeout(5)
    print("everything is sent; the server's end:", sock.recv(1))

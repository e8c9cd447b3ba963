"""Notice that the server has finished; that ends what we hear, not what we may say."""

import socket
import sys

with socket.create_connection(("localhost", int(sys.argv[1])), timeout=5) as sock:
    sock.sendall(b"abcdefghijklmnopqrstuvwxyz\n")
    heard = b""
    while piece := sock.recv(4096):  # b"" is the end, and comes for ever: leave the loop
        heard += piece
    print(f"the server has finished: {heard.decode()}")
    sock.sendall(b"one thing more\n")  # no error: it still listens
    sock.shutdown(socket.SHUT_WR)
    print("and so have we")

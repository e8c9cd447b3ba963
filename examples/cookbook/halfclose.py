"""Notice that the server has half-closed: it sends no more, but it still reads."""

import socket
import sys

with socket.create_connection(("localhost", int(sys.argv[1])), timeout=5) as sock:
    sock.sendall(b"abcdefghijklmnopqrstuvwxyz\n")
    answer = b""
    while piece := sock.recv(4096):  # b"" is the end, at every call from now on: leave the loop
        answer += piece
    print(f"the server has half-closed after: {answer.decode()}")
    sock.sendall(b"one thing more\n")  # no error: the server still reads
    sock.shutdown(socket.SHUT_WR)
    print("everything is sent, and this side is closed too")

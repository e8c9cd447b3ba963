"""Use an answer only if it is whole; ask once more if it is not."""

import socket
import struct
import sys


def exactly(sock, size):
    data = b""
    while len(data) < size:
        try:
            piece = sock.recv(size - len(data))
        except OSError as e:
            raise ConnectionError(f"{len(data)} of {size} bytes, then {type(e).__name__}") from e
        if not piece:
            raise ConnectionError(f"{len(data)} of {size} bytes, then the end")
        data += piece
    return data


def ask(port, question):
    with socket.create_connection(("localhost", port), timeout=1) as sock:
        sock.sendall(struct.pack(">I", len(question)) + question)
        (size,) = struct.unpack(">I", exactly(sock, 4))
        return exactly(sock, size).decode()


for _ in range(2):
    try:
        print("whole:", ask(int(sys.argv[1]), b"abcdefghijklmnopqrstuvwxyz"))
        break
    except ConnectionError as e:
        print("not used:", e)

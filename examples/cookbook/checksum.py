"""Check that the bytes received are the bytes sent: TCP's own checksum does not suffice."""

import socket
import sys
import zlib

sent = bytes(range(250)) * 4
with socket.create_connection(("localhost", int(sys.argv[1])), timeout=5) as sock:
    sock.sendall(sent + zlib.crc32(sent).to_bytes(4, "big"))
    sock.shutdown(socket.SHUT_WR)
    came = sock.makefile("rb").read()

body, checksum = came[:-4], int.from_bytes(came[-4:], "big")
if zlib.crc32(body) == checksum:
    print("whole and right")
else:
    wrong = sum(ours != theirs for ours, theirs in zip(sent, body, strict=True))
    print(f"{len(came)} bytes, but the checksum is wrong: {wrong} bytes of the body differ")

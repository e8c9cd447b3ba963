"""One node of the chain, without tcplab: python link.py NAME PORT [NEXT-HOST NEXT-PORT]."""

import socket
import socketserver
import sys

name, port, *following = sys.argv[1:]


class Link(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            named = line.rstrip(b"\n") + b" | " + name.encode()
            try:
                answer = ask(named) if following else b"ack " + named
            except OSError as e:
                answer = b"error " + named + b": " + str(e).encode()
            self.wfile.write(answer + b"\n")


def ask(message):
    with socket.create_connection(following, timeout=5) as sock:
        sock.sendall(message + b"\n")
        return sock.makefile("rb").readline().rstrip(b"\n")


socketserver.ThreadingTCPServer.allow_reuse_address = True
with socketserver.ThreadingTCPServer(("", int(port)), Link) as server:
    print(f"{name} listens on port {port}", flush=True)
    server.serve_forever()

"""Try again when a connection breaks, after growing pauses, at most four times."""

import socket
import sys
import time


def ask(port, question):
    with socket.create_connection(("localhost", port), timeout=5) as sock:
        sock.sendall(question + b"\n")
        answer = sock.makefile("rb").readline()
    if not answer.endswith(b"\n"):
        raise ConnectionError("the answer ends before its newline")
    return answer[:-1].decode()


for attempt in range(1, 5):
    try:
        print(ask(int(sys.argv[1]), b"hello"))
        break
    except OSError:  # refused, reset, silent or cut short
        print(f"try {attempt} failed")
        time.sleep(0.1 * 2**attempt)
else:
    sys.exit("gave up")

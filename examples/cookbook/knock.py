"""Tell a port that refuses from one that does not answer, in a second at most."""

import socket
import sys

try:
    with socket.create_connection(("localhost", int(sys.argv[1])), timeout=1):
        print("connected")
except ConnectionRefusedError:
    print("refused at once: nobody listens, try again soon")
except TimeoutError:
    print("no answer to our SYN in 1 s: the host is away, or a firewall drops it")

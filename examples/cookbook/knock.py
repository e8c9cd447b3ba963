"""Tell a port that refuses from one that does not answer, within a second."""

import socket
import sys

try:
    with socket.create_connection(("localhost", int(sys.argv[1])), timeout=1):
        print("connected")
except ConnectionRefusedError:
    print("refused at once: no server listens, try again soon")
except TimeoutError:
    print("no answer to the SYN in 1 s: the host is down, or a firewall drops it")

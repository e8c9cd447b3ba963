"""Fetch a small page by HTTP, and use it only if it is whole."""

import http.client
import sys
import urllib.request

try:
    with urllib.request.urlopen(f"http://localhost:{sys.argv[1]}/", timeout=1) as answer:
        print(f"status {answer.status}: {answer.read().decode()}")
except http.client.IncompleteRead as e:
    print(f"not used: {e.partial.decode()!r} arrived, {e.expected} bytes are missing")
except OSError as e:  # refused, reset or silent
    print(f"no answer: {e}")

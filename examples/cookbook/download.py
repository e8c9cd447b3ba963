"""Fetch a file by HTTP, and do not take a part of it for the whole."""

import http.client
import sys
import urllib.request

try:
    with urllib.request.urlopen(f"http://localhost:{sys.argv[1]}/retry.py", timeout=5) as answer:
        print(f"whole: {len(answer.read())} bytes, status {answer.status}")
except http.client.IncompleteRead as e:
    print(f"not used: {len(e.partial)} bytes came, {e.expected} are missing")

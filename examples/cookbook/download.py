"""Fetch a file by HTTP, and notice when only a part of it arrives."""

import http.client
import sys
import urllib.request

try:
    with urllib.request.urlopen(f"http://localhost:{sys.argv[1]}/retry.py", timeout=5) as answer:
        print(f"whole: {len(answer.read())} bytes, status {answer.status}")
except http.client.IncompleteRead as e:
    print(f"not used: {len(e.partial)} bytes arrived, {e.expected} are missing")

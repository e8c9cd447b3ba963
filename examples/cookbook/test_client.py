"""Tests of a client against a server that misbehaves; for pytest and for unittest."""

import subprocess
import sys
import unittest

from lab import lab


def printed(client, port):
    return subprocess.check_output([sys.executable, client, str(port)], text=True)


class RetryTests(unittest.TestCase):
    def test_itAsksAgain(self):
        with lab("-b", "echo,framing=lines", "--fault", "reset_peer,conn=1-2") as port:
            self.assertEqual(printed("retry.py", port).splitlines()[2:], ["hello"])

    def test_itRepeatsForASeed(self):
        with lab("-b", "echo", "--fault", "corrupt,every=100B", "--seed", "7") as port:
            self.assertEqual(printed("checksum.py", port), printed("checksum.py", port))

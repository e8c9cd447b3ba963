"""A lab for the time of one test, on a free port."""

import contextlib
import pathlib
import subprocess
import tempfile
import time


@contextlib.contextmanager
def lab(*options):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "ports")
        words = ["tcplab", "serve", "--port", "0", "--port-file", file, *options]
        with subprocess.Popen(words) as process:
            try:
                while not file.exists():
                    if process.poll() is not None:
                        raise ValueError("the lab has ended: its last line says why")
                    time.sleep(0.01)
                yield int(file.read_text().split()[2])  # a line is: NAME HOST PORT
            finally:
                process.kill()  # a test need not wait for the graceful end

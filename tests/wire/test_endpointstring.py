"""Tests for `tcplab.wire.endpointstring`."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.endpoints import _parse, clientFromString, serverFromString
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from tcplab.wire.endpointstring import (
    explained,
    joined,
    meant,
    split,
    unescaped,
    withAbstractPath,
)

WORDS = st.text(min_size=1).filter(lambda word: not word.isspace())


class WrittenTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True)
    @given(st.lists(WORDS), st.dictionaries(st.text("abc", min_size=1), WORDS))
    def test_split(self, words: list[str], options: dict[str, str]) -> None:
        """What is written is split again into the same words and options, as by Twisted."""
        if words or options:
            self.assertEqual(_parse(joined(words, options)), (words, options))
        if words:
            self.assertEqual(split(joined(words, options)), (words[0], words[1:], options))
            self.assertEqual(unescaped(joined(words[:1], {})), words[0])

    def test_splitWhatIsEmpty(self) -> None:
        """As in Twisted, a word may be empty."""
        for text in ("", "tcp", "tcp:", "tls::14433", "tls:path=:port=1", "a::=b:"):
            words, options = _parse(text)
            self.assertEqual(split(text), (words[0], list(words[1:]), options))

    def test_splitWhatTwistedRefuses(self) -> None:
        """A backslash at the end."""
        self.assertEqual(split("tcp:h:80\\"), ("tcp", ["h", "80\\"], {}))
        self.assertEqual(split("tcp:h\\:\\\\"), ("tcp", ["h:\\"], {}))


class MisreadTests(SynchronousTestCase):
    """Each is a real complaint of Twisted or Python about a real string."""

    def complaint(self, read: Any, text: str) -> str:
        try:
            read(MemoryReactorClock(), text)
        except Exception as error:
            return explained(error)
        raise AssertionError(f"{text} can be read")

    def test_words(self) -> None:
        for read, text, words in (
            (serverFromString, "tcp", "'port' is missing"),
            (clientFromString, "tls:host", "'port' is missing"),
            (clientFromString, "tls:", "'port' is missing"),
            (serverFromString, "tcp:80:a=b", "there is no option 'a'"),
            (clientFromString, "tcp:host:http", "'http' is no number"),
            (serverFromString, "udp:80", "there is no kind of endpoint 'udp'"),
            (clientFromString, "tls:host:443:foo=1", "there is no option 'foo'"),
            (clientFromString, "tcp:host:80\\", "it ends in a backslash: write two for one"),
            (serverFromString, "tcp:80:port=80", "'port' is given twice"),
            (serverFromString, "tcp:1:2:3:4:5:6:7:8", "there is a word too many"),
        ):
            self.assertEqual(self.complaint(read, text), words)
        self.assertEqual(explained(ValueError("two\n  lines")), "two lines")
        self.assertEqual(explained(KeyError()), "it cannot be used (KeyError)")


class MeantTests(SynchronousTestCase):
    """Addresses as people write them."""

    def test_both(self) -> None:
        """Where to connect, and where to listen."""
        for text, client, server in (
            ("tcp://localhost:80/", "tcp:localhost:80", "tcp:80:interface=127.0.0.1"),
            ("h:ssh", "tcp:h:22", "tcp:22:interface=h"),
            ("h 80", "tcp:h:80", "tcp:80:interface=h"),
            ("*:80", "tcp:*:80", "tcp:80"),
            ("tcp:[::1]:80", r"tcp:\:\:1:80", r"tcp6:80:interface=\:\:1"),
            ("::1:80", r"tcp:\:\:1:80", r"tcp6:80:interface=\:\:1"),
            ("tls:::1:80:a=b", r"tls:\:\:1:80:a=b", ""),
            ("unix:///tmp/x", "unix:/tmp/x", "unix:/tmp/x"),
            ("fault:stall:h 80", "fault:stall:tcp:h:80", "fault:stall:tcp:80:interface=h"),
            ("tcp:h:80", "", "tcp:80:interface=h"),
        ):
            self.assertEqual((meant(text), meant(text, server=True)), (client, server))
        self.assertEqual(
            meant("tcp:h:1:bindAddress=::1:timeout=3"), r"tcp:h:1:bindAddress=\:\:1:timeout=3"
        )

    def test_unknown(self) -> None:
        for text in ("", "tcp:8080", "tcp:h:x", "nothing:here", r"tcp:\:\:1:80", "unix:/x"):
            self.assertEqual(meant(text), "")


class AbstractTests(SynchronousTestCase):
    def test_paths(self) -> None:
        for text, kernel in (
            ("unix:@lab", "unix:\0lab"),
            ("unix:path=@lab:timeout=3", "unix:path=\0lab:timeout=3"),
            ("unix:mode=600:address=@lab", "unix:mode=600:address=\0lab"),
            ("limit:max=3:unix:@lab", "limit:max=3:unix:\0lab"),
            ("unix:/run/@lab", "unix:/run/@lab"),
            ("unix:./@lab", "unix:./@lab"),
            ("tcp:@lab:80", "tcp:@lab:80"),
        ):
            self.assertEqual(withAbstractPath(text), kernel)

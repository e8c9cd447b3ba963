"""What a worker is started with."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tcplab.server.orders import Orders


class Writing(SynchronousTestCase):
    orders = Orders({"port": "0", "serve": ["a@b"]}, (True, False), 3, "a.reactor", "/here", 1)

    def test_what_is_written_is_read(self) -> None:
        self.assertEqual(Orders.read(self.orders.write()), self.orders)

    def test_descriptors_are_all_different(self) -> None:
        orders = self.orders
        found = [*orders.given, *orders.sockets, orders.board, orders.commands, orders.reports]
        self.assertEqual(found, [3, 4, 5, 6, 7, 8])

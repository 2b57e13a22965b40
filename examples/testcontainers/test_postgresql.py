"""Tests against PostgreSQL with 100,000 orders. Each has a copy of its own, so each may do to it what it likes."""

import subprocess
import unittest

from envserve_service import Parallel, up, up_all

ORDERS = 100_000


def sql(service, text):
    """Runs SQL, and returns what it prints. A project uses the driver that it has."""
    address = ["--host", service.host, "--port", str(service.port), "--username", "postgres", "--dbname", "postgres"]
    words = ["psql", *address, "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]
    done = subprocess.run([*words, "--command", text], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


def orders(service):
    return int(sql(service, "select count(*) from orders"))


class Orders(unittest.TestCase):
    def setUp(self):
        self.service = up("postgresql.json")
        self.addCleanup(self.service.down)

    def test_an_order_is_added(self):
        sql(self.service, "insert into orders (customer, cents) values (7, 995)")
        self.assertEqual(orders(self.service), ORDERS + 1)

    def test_an_order_without_a_price_is_refused(self):
        with self.assertRaisesRegex(RuntimeError, "orders_cents_check"):
            sql(self.service, "insert into orders (customer, cents) values (7, 0)")
        self.assertEqual(orders(self.service), ORDERS)

    def test_the_orders_of_a_customer_are_deleted(self):
        sql(self.service, "delete from orders where customer = 7")
        self.assertEqual(orders(self.service), ORDERS - 100)

    def test_all_is_dropped(self):
        sql(self.service, "drop table orders; drop table customers")
        with self.assertRaisesRegex(RuntimeError, '"orders" does not exist'):
            orders(self.service)

    def test_a_reset_brings_everything_back(self):
        sql(self.service, "truncate orders")
        self.assertEqual(orders(self.service), 0)
        self.service.reset()
        self.assertEqual(orders(self.service), ORDERS)

    def test_the_database_is_durable(self):
        """Nothing is switched off to be fast."""
        self.assertEqual(sql(self.service, "show fsync"), "on")


class Copies(unittest.TestCase):
    def test_changes_of_one_are_not_seen_by_another(self):
        services = up_all("postgresql.json", 3)
        for service in services:
            self.addCleanup(service.down)
        for number, service in enumerate(services):
            sql(service, f"delete from orders where id <= {number}")
        self.assertEqual([orders(service) for service in services], [ORDERS, ORDERS - 1, ORDERS - 2])


def load_tests(_loader, tests, _pattern):
    return Parallel(tests)


if __name__ == "__main__":
    unittest.main()

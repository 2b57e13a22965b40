"""Tests against an application in Tomcat, which counts how often it was asked."""

import unittest
from urllib.request import urlopen

from envserve_service import up_all


def ask(service):
    """Returns how often the application was asked, and the session that it gives."""
    with urlopen(f"http://{service.host}:{service.port}/", timeout=30) as answer:
        _, count, _, _, session = answer.read().decode().split()
    return int(count), session


class Copies(unittest.TestCase):
    def setUp(self):
        self.one, self.other = up_all("tomcat.json", 2)
        self.addCleanup(self.one.down)
        self.addCleanup(self.other.down)

    def test_each_counts_for_itself(self):
        before, _ = ask(self.other)
        first, _ = ask(self.one)
        self.assertEqual([ask(self.one)[0], ask(self.one)[0]], [first + 1, first + 2])
        self.assertEqual(ask(self.other)[0], before + 1)

    def test_no_two_give_the_same_session(self):
        """What the memory of a service holds, copies share: META-INF/context.xml says how this one is told from others."""
        sessions = [ask(service)[1] for service in (self.one, self.other) for _ in range(3)]
        self.assertEqual(len(set(sessions)), len(sessions))


if __name__ == "__main__":
    unittest.main()

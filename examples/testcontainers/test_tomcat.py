"""Tests against an application in Tomcat, which counts how often it was asked."""

import unittest
from urllib.request import urlopen

from envserve_service import up_all


def ask(service):
    with urlopen(f"http://{service.host}:{service.port}/", timeout=30) as answer:
        return int(answer.read().split()[-1])


class Counter(unittest.TestCase):
    def test_each_copy_counts_for_itself(self):
        one, other = up_all("tomcat.json", 2)
        self.addCleanup(one.down)
        self.addCleanup(other.down)
        before = ask(other)
        first = ask(one)
        self.assertEqual([ask(one), ask(one)], [first + 1, first + 2])
        self.assertEqual(ask(other), before + 1)


if __name__ == "__main__":
    unittest.main()

"""Copies of services for tests, started by envserve. It needs nothing but Python and `envserve` in PATH.

    service = up("postgresql.json")     # ready when this returns
    connect(service.host, service.port)
    service.reset()                     # as it was at first
    service.down()                      # or when this process ends, however it does
"""

import json
import os
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor


class Service:
    """A copy of a service, which nobody else has."""

    def __init__(self, facts):
        self.id = facts["id"]
        self.ports = {name: (address["host"], address["port"]) for name, address in facts["ports"].items()}
        self.host, self.port = next(iter(self.ports.values()))

    def exec(self, *words):
        """Runs a command beside the service, and returns what it prints."""
        return _envserve("exec", self.id, "--", *words)

    def reset(self):
        """Drops all that was changed. The address stays."""
        _envserve("reset", self.id)

    def down(self):
        """Ends it."""
        _envserve("down", self.id)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()


def up(spec, *options):
    """Starts a copy of the service of a spec, and returns it when it is ready."""
    return up_all(spec, 1, *options)[0]


def up_all(spec, count, *options):
    """Starts copies of the service of a spec, and returns them when all are ready."""
    # They belong to this process, and are gone when it is.
    owner = ["--owner-pid", str(os.getpid())]
    answer = json.loads(_envserve("up", spec, "-n", str(count), "--json", *owner, *options))
    return [Service(facts) for facts in answer["instances"]]


def _envserve(*words):
    done = subprocess.run(["envserve", *words], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        # What it says of that is on stderr already.
        raise RuntimeError(f"envserve {words[0]} ended with exit code {done.returncode}")
    return done.stdout


class Parallel(unittest.TestSuite):
    """Tests that run at the same time; a module returns it from `load_tests`."""

    def run(self, result, debug=False):
        tests = list(_single(self))
        with ThreadPoolExecutor(max(len(tests), 1)) as pool:
            for test, own in zip(tests, pool.map(_alone, tests)):
                result.startTest(test)
                if own.wasSuccessful():
                    result.addSuccess(test)
                result.failures += own.failures
                result.errors += own.errors
                result.stopTest(test)
        return result


def _alone(test):
    result = unittest.TestResult()
    test.run(result)
    return result


def _single(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _single(test)
        else:
            yield test

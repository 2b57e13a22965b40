"""A service that holds what is hard to copy, and answers a line for each line."""

import ctypes
import fcntl
import os
import random
import signal
import socket
import struct
import sys
import time

PORT = 7000
VALUE = "/data/value"


class Service:
    def __init__(self):
        time.sleep(0.5)
        self.value = open(VALUE).read() if os.path.exists(VALUE) else "cold"
        self.told = []
        self.listener = socket.create_server(("0.0.0.0", PORT))
        # Both ends of a connection that is never closed.
        self.near = socket.create_connection(("127.0.0.1", PORT))
        self.far = self.listener.accept()[0]
        self.unlinked = open("/data/unlinked", "w+")
        os.unlink("/data/unlinked")
        self.unlinked.write("still there")
        self.unlinked.flush()
        self.locked = open("/data/locked", "w")
        fcntl.lockf(self.locked, fcntl.LOCK_EX)
        libc = ctypes.CDLL(None)
        self.watching = libc.inotify_init()
        libc.inotify_add_watch(self.watching, b"/watched", 0x100)

    def get(self):
        return self.value

    def set(self, value):
        self.value = value
        with open(VALUE, "w") as file:
            file.write(value)
        return value

    def slow(self):
        time.sleep(1)
        return "done"

    def file(self):
        return open(VALUE).read()

    def random(self):
        return str(random.getrandbits(64))

    def reseed(self, *told):
        random.seed(told[0])
        self.told = told
        return "reseeded"

    def told_by(self):
        return " ".join(self.told)

    def connection(self):
        self.near.sendall(b"through it")
        return self.far.recv(100).decode()

    def open_file(self):
        self.unlinked.seek(0)
        return self.unlinked.read()

    def watch(self):
        open("/watched/new", "w").close()
        event = os.read(self.watching, 4096)
        length = struct.unpack_from("iIII", event)[3]
        return event[16:16 + length].rstrip(b"\0").decode()

    def lock(self):
        child = os.fork()
        if child == 0:
            try:
                fcntl.lockf(open("/data/locked", "w"), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os._exit(7)
            os._exit(0)
        return "held" if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7 else "free"

    def env(self, name):
        return os.environ.get(name, "-")

    def serve(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print("serving", flush=True)
        while True:
            stream = self.listener.accept()[0]
            words = stream.makefile().readline().split()
            if words:
                stream.sendall(getattr(self, words[0])(*words[1:]).encode())
            stream.close()


def ask(words):
    stream = socket.create_connection(("127.0.0.1", PORT))
    stream.sendall((" ".join(words) + "\n").encode())
    return stream.makefile().read()


def copied():
    """Tells the service which copy it is."""
    names = ["ENVSERVE_GENERATION", "ENVSERVE_INSTANCE", "ENVSERVE_FORM", "GIVEN", "OF_COMMAND"]
    if os.environ.get("GIVEN") == "bad":
        sys.exit("this is not to be given")
    ask(["reseed"] + [os.environ.get(name, "-") for name in names])


if sys.argv[1:] == ["copied"]:
    copied()
elif sys.argv[1:]:
    print(ask(sys.argv[1:]))
else:
    Service().serve()

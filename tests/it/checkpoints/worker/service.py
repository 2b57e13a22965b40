"""A service that holds what is hard to write to disk, and answers with success as long as it has all of it.

It has removed a file of the image, and a directory that it has made anew.
"""

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import sys
import time

SETUP_IO_URING = 425
WHOLE = "ping, the end, seen, 2 held"


def io_uring():
    """Maps the ring of an io_uring, which no CRIU can write to disk."""
    libc = ctypes.CDLL(None, use_errno=True)
    ring = libc.syscall(SETUP_IO_URING, 8, ctypes.create_string_buffer(120))
    if ring < 0:
        sys.exit("no io_uring: " + os.strerror(ctypes.get_errno()))
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap(None, ctypes.c_size_t(4096), 3, 1, ring, ctypes.c_long(0))


class Service:
    def __init__(self):
        os.makedirs("/data/watched", exist_ok=True)
        self.unlinked = open("/data/unlinked", "w+b")
        os.unlink("/data/unlinked")
        self.unlinked.write(b"x" * (3 << 20) + b"the end")
        self.unlinked.flush()
        self.locks = [open("/data/posix", "w"), open("/data/flock", "w")]
        fcntl.lockf(self.locks[0], fcntl.LOCK_EX)
        fcntl.flock(self.locks[1], fcntl.LOCK_EX)
        libc = ctypes.CDLL(None)
        self.watching = libc.inotify_init1(os.O_NONBLOCK)
        libc.inotify_add_watch(self.watching, b"/data/watched", 0x100)
        inner = socket.create_server(("127.0.0.1", 7001))
        self.near = socket.create_connection(("127.0.0.1", 7001))
        self.far = inner.accept()[0]
        self.named = socket.socket(socket.AF_UNIX)
        if not os.path.exists("/data/socket"):
            self.named.bind("/data/socket")

    def state(self):
        self.near.sendall(b"ping")
        said = self.far.recv(4).decode()
        self.unlinked.seek(-7, os.SEEK_END)
        end = self.unlinked.read().decode()
        open("/data/watched/%d" % time.time_ns(), "w").close()
        try:
            seen = "seen" if os.read(self.watching, 4096) else "nothing"
        except BlockingIOError:
            seen = "nothing"
        return "%s, %s, %s, %d held" % (said, end, seen, self.held())

    def held(self):
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        held = 0
        for name, take in ("/data/posix", fcntl.lockf), ("/data/flock", fcntl.flock):
            try:
                take(open(name, "w"), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                held += 1
        os._exit(held)

    def serve(self):
        listener = socket.create_server(("127.0.0.1", 7000))
        while True:
            stream = listener.accept()[0]
            stream.recv(4096)
            state = self.state()
            print(state, flush=True)
            code = 200 if state == WHOLE else 500
            stream.sendall(b"HTTP/1.1 %d .\r\n\r\n" % code)
            stream.close()


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if "io_uring" in sys.argv:
    io_uring()
if os.path.exists("/data/removed"):
    os.unlink("/data/removed")
    shutil.rmtree("/data/renewed")
    os.mkdir("/data/renewed")
Service().serve()

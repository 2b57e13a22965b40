"""Starts a copy of a service by `runc` and nothing else, and prints the seconds until its first answer.

    unshare --mount --propagation private python3 bare.py SUPERVISOR FORM CRIU DIRECTORY PORT

It takes what an instance of envserve runs on, whose process SUPERVISOR is: the configuration of its container, the root
file system and the layers, for the form `memory` also what CRIU wrote. What it does with them: a mount of each with the
ids of the container, an overlay, `runc restore` or `runc run`, a look until there is an answer. What lies on the disk
stays as it was. The clock starts when all of that is known, and the namespace of users is there.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
# What envserve tells runc.
FLAGS = ["--file-locks", "--tcp-established", "--empty-ns", "network"]
FIRST_ANSWER_SECONDS = 60
# A hook, as the loopback device of a container that is restored is down.
RAISE = r"""PATH=/usr/sbin:/usr/bin:/sbin:/bin
state=$(cat); process=${state#*\"pid\":}; exec nsenter -t "${process%%,*}" -n ip link set lo up"""


def call(number, *words):
    result = LIBC.syscall(number, *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def mounts(process):
    """Returns the mounts of a process: device, root in it, place."""
    for line in Path(f"/proc/{process}/mountinfo").read_text().splitlines():
        yield line.split()[2:5]


def lowers(supervisor):
    """Returns the directories below the overlay of an instance, as this process sees them, the lowest first."""
    own = list(mounts("self"))
    found = {}
    for device, root, place in mounts(supervisor):
        if place.startswith("/run/envserve/lower/"):
            # The file system is mounted here somewhere, whole or a part of it.
            ways = [(at, top.rstrip("/")) for other, top, at in own if other == device and root.startswith(top)]
            at, top = ways[0]
            found[int(place.rsplit("/", 1)[1])] = Path(at.rstrip("/") + root[len(top):])
    return [found[number] for number in sorted(found)]


def users(mapping):
    """Returns a namespace of users with the ids of the container."""
    begun = os.pipe()
    child = os.fork()
    if child == 0:
        LIBC.unshare(CLONE_NEWUSER)
        os.write(begun[1], b"x")
        signal.pause()
    os.read(begun[0], 1)
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{child}/{name}").write_text("{containerID} {hostID} {size}".format(**mapping))
    namespace = os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return namespace


def show(path, at, namespace):
    """Mounts a directory with the ids of the container."""
    tree = call(OPEN_TREE, -100, str(path).encode(), 1 | 0x80000)
    attributes = (ctypes.c_uint64 * 4)(0x100000, 0, 0, namespace)
    call(MOUNT_SETATTR, tree, b"", 0x1000, attributes, 32)
    call(MOVE_MOUNT, tree, b"", -100, str(at).encode(), 4)
    os.close(tree)


def answers(port):
    """Says whether the service answers a question, as the benchmark asks it."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as stream:
            if port == 5432:
                stream.sendall(startup())
                answer = b""
                while b"Z\0\0\0\5I" not in answer:
                    piece = stream.recv(4096)
                    if not piece:
                        return False
                    answer += piece
                question = b"select count(*) from orders\0"
                stream.sendall(b"Q" + (len(question) + 4).to_bytes(4, "big") + question)
                return b"100000" in stream.recv(4096)
            stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return stream.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def startup():
    body = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0"
    return (len(body) + 4).to_bytes(4, "big") + body


def enter_network(process):
    with open(f"/proc/{process}/ns/net") as namespace:
        if LIBC.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def main(supervisor, form, criu, directory, port):
    directory = Path(directory)
    shutil.rmtree(directory, ignore_errors=True)
    for name in ("rootfs", "upper", "work", "state", "bin", "criu"):
        (directory / name).mkdir(parents=True)
    config = json.loads(Path(f"/proc/{supervisor}/root/run/envserve/bundle/config.json").read_text())
    mapping = config["linux"]["uidMappings"][0]
    shutil.chown(directory / "upper", mapping["hostID"], mapping["hostID"])
    name = f"envserve-bare-{os.getpid()}"
    config["root"]["path"] = str(directory / "rootfs")
    config["linux"]["cgroupsPath"] = f"/{name}"
    config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", RAISE]}]}
    settings = directory / "criu.conf"
    settings.write_text("network-lock skip\n")
    config["annotations"] = {"org.criu.config": str(settings)}
    (directory / "config.json").write_text(json.dumps(config))
    # runc looks for it in PATH, under this name.
    (directory / "bin/criu").write_text(f'#!/bin/sh\nexec {criu} "$@"\n')
    (directory / "bin/criu").chmod(0o755)
    environment = dict(os.environ, PATH=f"{directory}/bin:{os.environ['PATH']}")
    layers = lowers(supervisor)
    namespace = users(mapping)
    runc = shutil.which("runc", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    command = [runc, "--root", str(directory / "state")]
    pid = directory / "pid"
    common = ["--detach", "--bundle", str(directory), "--pid-file", str(pid)]
    verb = ["run", *common, name]
    if form == "memory":
        images = layers[-1].parents[1] / "memory/images"
        verb = ["restore", *common, "--image-path", str(images), "--work-path", str(directory / "criu"), *FLAGS, name]

    start = time.monotonic()
    shown = []
    for number, layer in enumerate(layers):
        shown.append(directory / f"lower-{number}")
        shown[-1].mkdir()
        show(layer, shown[-1], namespace)
    lower = ":".join(str(path) for path in reversed(shown))
    options = f"lowerdir={lower},upperdir={directory}/upper,workdir={directory}/work".encode()
    if LIBC.mount(b"overlay", str(directory / "rootfs").encode(), b"overlay", 0, options) != 0:
        raise OSError(ctypes.get_errno(), "overlay")
    # Neither the service nor runc says anything here; CRIU's own log is in `criu`.
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*command, *verb], env=environment, check=True, **quiet)
    enter_network(pid.read_text())
    while not answers(port):
        if time.monotonic() - start > FIRST_ANSWER_SECONDS:
            sys.exit("it does not answer")
        time.sleep(0.001)
    print(time.monotonic() - start)
    subprocess.run([*command, "delete", "--force", name], check=True)


if __name__ == "__main__":
    words = sys.argv[1:]
    main(int(words[0]), *words[1:4], int(words[4]))

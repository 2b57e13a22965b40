"""Lays this Python out in a directory, as far as the service needs it."""

import ctypes
import encodings.ascii
import encodings.idna
import encodings.latin_1
import encodings.utf_8
import fcntl
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys

top = sys.argv[1]
program = os.path.realpath(sys.executable)
modules = [getattr(module, "__file__", None) for module in sys.modules.values()]
files = {program, *(path for path in modules if path and path != __file__)}
for path in [path for path in files if path == program or ".so" in path]:
    said = subprocess.run(["ldd", path], capture_output=True, text=True).stdout
    files.update(word for word in said.split() if word.startswith("/"))
for path in files:
    os.makedirs(os.path.dirname(top + path), exist_ok=True)
    shutil.copy(path, top + path)
os.makedirs(top + "/usr/bin", exist_ok=True)
if not os.path.exists(top + "/usr/bin/python3"):
    os.symlink(program, top + "/usr/bin/python3")

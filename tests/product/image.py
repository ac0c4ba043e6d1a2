"""The images of the tests: busybox's commands, and a web server that says which pod answers. Built once, offline."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

WHO = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n%s\\n' \"$(hostname)\"\n"
SLOW = "#!/bin/sh\nsleep 1\nprintf 'Content-Type: text/plain\\r\\n\\r\\n%s\\n' \"$(hostname)\"\n"
BURN = "#!/bin/sh\nn=0\nwhile [ $n -lt 20000 ]; do n=$((n+1)); done\nprintf 'Content-Type: text/plain\\r\\n\\r\\nburnt\\n'\n"

FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n",
    "etc/group": "root:x:0:\napp:x:1000:\nextra:x:2000:app\n",
    "www/index.html": "ok\n",
}
SCRIPTS = {"www/cgi-bin/who": WHO, "www/cgi-bin/slow": SLOW, "www/cgi-bin/burn": BURN}
FOLDERS = ("bin", "etc", "proc", "sys", "dev", "tmp", "root", "home/app", "var", "www", "www/cgi-bin")


def build_root_tar(target: Path) -> Path:
    """Write the tar of a root filesystem with busybox in it. Skips the test where there is no busybox."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed: apt-get install busybox-static")
    names = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    with tarfile.open(target, "w") as tar:
        for folder in FOLDERS:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        tar.add(busybox, "bin/busybox")
        for name in names:
            if name != "busybox":
                entry = tarfile.TarInfo(f"bin/{name}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(entry)
        for texts, mode in ((FILES, 0o644), (SCRIPTS, 0o755)):
            for path, text in texts.items():
                entry = tarfile.TarInfo(path)
                entry.mode, entry.size = mode, len(text.encode())
                tar.addfile(entry, io.BytesIO(text.encode()))
    return target

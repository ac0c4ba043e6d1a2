"""Boots the guest with a checkout and a command, passes its output on, and returns the command's exit code."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
import tempfile
import threading
from io import BytesIO
from pathlib import Path

MEMORY_MIB = 2048
CPUS = 2


def run_in_guest(image: Path, checkout: Path, command: str, *, timeout_s: float, kvm: bool = False) -> int:
    """Return the exit code of a shell command, run in a copy of the checkout in the guest.

    Raises: SystemExit when the guest doesn't come to the command's end; the console's last lines are printed then.
    """
    program = shutil.which("qemu-system-x86_64")
    if program is None:
        raise SystemExit("guest: qemu-system-x86_64 not found\nhint: apt-get install qemu-system-x86")
    with tempfile.TemporaryDirectory(prefix="pinnace-guest-") as work:
        disk, console = Path(work) / "checkout.tar", Path(work) / "console"
        disk.write_bytes(pack_checkout(checkout, command))
        argv = render_argv(program, image, disk, console, kvm=kvm)
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
        )
        try:
            code = _follow(process, timeout_s)
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            process.kill()
            process.wait()
        if code is None:
            tail = console.read_text(errors="replace").splitlines()[-30:] if console.exists() else []
            raise SystemExit(
                "\n".join([*tail, f"guest: no result within {timeout_s:g} s; above: the end of its console"])
            )
        return code


def render_argv(program: str, image: Path, disk: Path, console: Path, *, kvm: bool) -> list[str]:
    """Return qemu's command line. Nothing that the guest writes reaches the image (snapshot)."""
    accelerator = "kvm" if kvm else "tcg,thread=multi"
    # tsc=reliable, no mitigations, quiet: seconds less under emulation. Both serial lines are files for us.
    kernel = "root=/dev/vda rw console=ttyS0 quiet mitigations=off tsc=reliable systemd.show_status=no selinux=0 audit=0"
    return [
        *(program, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", "q35,usb=off,vmport=off", "-accel", accelerator, "-cpu", "host" if kvm else "max"),
        *("-smp", str(CPUS), "-m", str(MEMORY_MIB)),
        *("-kernel", str(image / "kernel"), "-initrd", str(image / "initrd"), "-append", kernel),
        *("-drive", f"file={image / 'disk'},format=raw,if=virtio,snapshot=on,cache=unsafe"),
        *("-drive", f"file={disk},format=raw,if=virtio,readonly=on"),
        *("-serial", f"file:{console}", "-serial", "stdio"),
    ]


def pack_checkout(checkout: Path, command: str) -> bytes:
    """Return a tar of the files that git knows or would add, as they are in the work tree, and of the command."""
    listed = subprocess.run(
        ["git", "-C", str(checkout), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    ).stdout
    names = sorted({name.decode() for name in listed.split(b"\0") if name})
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in names:
            path = checkout / name
            if path.is_symlink() or path.is_file():
                tar.add(path, name, recursive=False, filter=_as_root)
        entry = tarfile.TarInfo(".guest-command")
        data = command.encode()
        entry.size = len(data)
        tar.addfile(entry, BytesIO(data))
    raw = buffer.getvalue()
    return raw + bytes(-len(raw) % 512)


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry


def _follow(process: subprocess.Popen[bytes], timeout_s: float) -> int | None:
    """Pass the guest's output on; return the code that it tells, or None when it ends or hangs without."""
    timer = threading.Timer(timeout_s, process.kill)
    timer.start()
    code: int | None = None
    try:
        assert process.stdout is not None
        for line in process.stdout:
            text = line.decode(errors="replace").rstrip("\r\n")
            told = re.fullmatch(r"guest: exit (\d+)", text)
            if told:
                code = int(told[1])
                continue
            print(text, flush=True)
        return code
    finally:
        timer.cancel()

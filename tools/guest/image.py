"""Builds the guest's disk, kernel and initrd, and keeps them in a cache outside the checkout.

Needs root (mmdebstrap unpacks packages and runs their scripts in a chroot). Invariant: a folder in the cache is complete;
it is built beside and renamed.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools.guest.cpio import Archive
from tools.guest.recipe import BOOT_MODULES, Recipe

DISK_SIZE = "4G"  # sparse: only what is written takes space
KEPT_IMAGES = 2

# What the guest does when it is up: unpack the checkout from the second disk, run its command, tell the code, power off.
RUNNER = """#!/bin/sh
exec </dev/null >/dev/ttyS1 2>&1
mkdir -p /checkout && cd /checkout && tar -xf /dev/vdb
echo "guest: up after $(cut -d' ' -f1 /proc/uptime) s, $(uname -r), $(stat -fc %T /sys/fs/cgroup)"
export HOME=/root PYTHONPATH=/opt/site:/checkout/src:/checkout PYTHONDONTWRITEBYTECODE=1 TERM=dumb
sh ./.guest-command
echo "guest: exit $?"
sync
systemctl poweroff --force --force
"""
SERVICE = """[Unit]
Description=Host tests of the checkout on the second disk
DefaultDependencies=no
Requires=basic.target
After=basic.target dbus.service
Wants=dbus.service

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/run-checkout
TimeoutStartSec=infinity
Delegate=yes
"""
INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
for module in $(/bin/busybox cat /modules/order); do /bin/busybox insmod /modules/$module; done
n=0
until [ -b /dev/vda ] || [ $n -ge 100 ]; do n=$((n+1)); /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 -o rw,noatime /dev/vda /root || exec /bin/busybox sh
/bin/busybox umount /proc /sys
exec /bin/busybox switch_root /root /sbin/init
"""
# Nothing of this is needed for a test run, and under emulation each unit costs time.
MASKED = (
    "apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer "
    "getty@tty1.service getty-static.service serial-getty@ttyS0.service systemd-timesyncd.service systemd-networkd.service "
    "systemd-resolved.service systemd-udev-settle.service systemd-random-seed.service systemd-update-utmp.service "
    "systemd-pcrphase.service systemd-boot-update.service man-db.timer logrotate.timer systemd-journal-flush.service "
    "systemd-hwdb-update.service ldconfig.service systemd-firstboot.service"
)


def find_cache() -> Path:
    """Return the folder of all images."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "pinnace" / "guests"


def ensure_image(recipe: Recipe) -> Path:
    """Return the folder with `disk`, `kernel` and `initrd`; build it when it isn't there. Raises: SystemExit with what is missing."""
    folder = find_cache() / recipe.key
    if folder.is_dir():
        os.utime(folder)
        return folder
    _check_tools()
    began = time.monotonic()
    say(f"building the guest's image {recipe.key} (once; a few minutes)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    try:
        root = work / "root"
        _install_packages(recipe, root)
        _install_requirements(recipe, root)
        _configure(root)
        _write_initrd(root, work / "initrd")
        shutil.copy(_only(root / "boot", "vmlinuz-*"), work / "kernel")
        shutil.rmtree(root / "boot")
        _run(
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            "-O",
            "^has_journal,^metadata_csum",
            "-E",
            "lazy_itable_init=1",
            "-d",
            str(root),
            str(work / "disk"),
            DISK_SIZE,
        )
        shutil.rmtree(root)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    _forget_old(folder.parent)
    say(f"built in {time.monotonic() - began:.0f} s: {folder}")
    return folder


def say(text: str) -> None:
    """Tell the person, apart from the tests' output."""
    print(f"guest: {text}", file=sys.stderr, flush=True)


def _check_tools() -> None:
    if os.geteuid() != 0:
        raise SystemExit("guest: building the image needs root\nhint: sudo make test-v2")
    missing = [name for name in ("mmdebstrap", "mke2fs") if shutil.which(name) is None]
    if missing:
        raise SystemExit(
            f"guest: {' and '.join(missing)} not found\nhint: apt-get install mmdebstrap e2fsprogs"
        )


def _install_packages(recipe: Recipe, root: Path) -> None:
    _run(
        *("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(recipe.packages)}"),
        # Our initrd replaces the distribution's: without its maker, the kernel's package installs faster.
        *("--aptopt=APT::Install-Recommends false", "--dpkgopt=path-exclude=/usr/share/man/*"),
        *("--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*"),
        *(recipe.suite, str(root)),
    )


def _install_requirements(recipe: Recipe, root: Path) -> None:
    """Install wheels for the guest's Python, not for the one that runs this."""
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in (34, 28, 17)]
    target = root / "opt/site"
    _run(
        *(sys.executable, "-m", "pip", "install", "-qq", "--target", str(target), "--only-binary=:all:"),
        *(
            f"--python-version={recipe.python}",
            "--implementation=cp",
            *platforms,
            "--platform=manylinux2014_x86_64",
        ),
        *recipe.requirements,
    )
    _run("chroot", str(root), "python3", "-m", "compileall", "-q", "/opt/site", check=False)


def _configure(root: Path) -> None:
    runner = root / "usr/local/sbin/run-checkout"
    runner.write_text(RUNNER)
    runner.chmod(0o755)
    units = root / "etc/systemd/system"
    (units / "checkout.service").write_text(SERVICE)
    (units / "default.target").unlink(missing_ok=True)
    (units / "default.target").write_text(
        "[Unit]\nDescription=Tests\nRequires=basic.target checkout.service\nAfter=basic.target\n"
    )
    for name in MASKED.split():
        unit = units / name
        unit.unlink(missing_ok=True)
        unit.symlink_to("/dev/null")
    (root / "etc/fstab").write_text("")
    (root / "etc/hostname").write_text("guest\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost guest\n")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("nameserver 127.0.0.53\n")
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    for place in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(root / place, ignore_errors=True)


def _write_initrd(root: Path, target: Path) -> None:
    """Write an initrd with busybox and the few modules that the root disk needs: a generic one takes seconds more."""
    modules = _only(root / "lib/modules", "*")
    archive = Archive()
    for folder in ("bin", "proc", "sys", "dev", "root", "modules"):
        archive.add_folder(folder)
    archive.add_device("dev/console", stat.S_IFCHR | 0o600, 5, 1)
    archive.add_file("bin/busybox", (root / "bin/busybox").read_bytes(), 0o755)
    archive.add_file("init", INIT.encode(), 0o755)
    order = []
    for path in _resolve_modules(modules, BOOT_MODULES):
        archive.add_file(f"modules/{path.name}", path.read_bytes(), 0o644)
        order.append(path.name)
    archive.add_file("modules/order", "\n".join(order).encode(), 0o644)
    target.write_bytes(archive.render())


def _resolve_modules(modules: Path, wanted: tuple[str, ...]) -> list[Path]:
    """Return module files with what they depend on before them. A module that is built into the kernel has no file."""
    needs: dict[str, list[str]] = {}
    places: dict[str, str] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        name = Path(path).name.removesuffix(".ko").replace("-", "_")
        places[name] = path
        needs[path] = rest.split()
    soft = {"ext4": ("crc32c_generic",)}  # a soft dependency, which modules.dep doesn't name
    ordered: list[str] = []
    for name in (extra for one in wanted for extra in (*soft.get(one, ()), one)):
        if name in places:
            for path in (*reversed(needs[places[name]]), places[name]):
                if path not in ordered:
                    ordered.append(path)
    return [modules / path for path in ordered]


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"guest: expected one {pattern} in {folder}, found {len(found)}")
    return found[0]


def _forget_old(cache: Path) -> None:
    images = sorted(
        (path for path in cache.iterdir() if path.is_dir()),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    for path in images[KEPT_IMAGES:]:
        shutil.rmtree(path, ignore_errors=True)


def _run(*argv: str, check: bool = True) -> None:
    ended = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
    if check and ended.returncode != 0:
        raise SystemExit(f"guest: {argv[0]} ended with code {ended.returncode}: {' '.join(argv)}")

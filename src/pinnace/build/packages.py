"""Knows which package brings a command, for Debian's and Alpine's families and Fedora's. Pure; used by `hints`.

Source: the package indexes of Debian 12, Alpine 3.20 and Fedora 40 (names of packages by the file that they bring).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Packages(NamedTuple):
    """The package that brings a command, by the program that installs packages; "" where there is none."""

    apt: str
    apk: str
    dnf: str


_C = Packages("build-essential", "build-base", "gcc make")
COMMANDS: dict[str, Packages] = {
    "add-apt-repository": Packages("software-properties-common", "", ""),
    "aws": Packages("awscli", "aws-cli", "awscli2"),
    "bash": Packages("bash", "bash", "bash"),
    "bzip2": Packages("bzip2", "bzip2", "bzip2"),
    "c++": _C,
    "cargo": Packages("cargo", "cargo", "cargo"),
    "cc": _C,
    "clang": Packages("clang", "clang", "clang"),
    "cmake": Packages("cmake", "cmake", "cmake"),
    "curl": Packages("curl", "curl", "curl"),
    "dig": Packages("dnsutils", "bind-tools", "bind-utils"),
    "envsubst": Packages("gettext-base", "gettext-envsubst", "gettext"),
    "ffmpeg": Packages("ffmpeg", "ffmpeg", "ffmpeg-free"),
    "file": Packages("file", "file", "file"),
    "g++": _C,
    "gcc": _C,
    "gfortran": Packages("gfortran", "gfortran", "gcc-gfortran"),
    "git": Packages("git", "git", "git"),
    "git-lfs": Packages("git-lfs", "git-lfs", "git-lfs"),
    "go": Packages("golang", "go", "golang"),
    "gosu": Packages("gosu", "su-exec", ""),
    "gpg": Packages("gnupg", "gnupg", "gnupg2"),
    "groupadd": Packages("passwd", "shadow", "shadow-utils"),
    "ifconfig": Packages("net-tools", "net-tools", "net-tools"),
    "ip": Packages("iproute2", "iproute2", "iproute"),
    "java": Packages("default-jre-headless", "openjdk17-jre-headless", "java-latest-openjdk-headless"),
    "javac": Packages("default-jdk-headless", "openjdk17-jdk", "java-latest-openjdk-devel"),
    "jq": Packages("jq", "jq", "jq"),
    "less": Packages("less", "less", "less"),
    "lsb_release": Packages("lsb-release", "lsb-release-minimal", "lsb_release"),
    "make": Packages("make", "make", "make"),
    "mvn": Packages("maven", "maven", "maven"),
    "nc": Packages("netcat-openbsd", "netcat-openbsd", "nmap-ncat"),
    "ninja": Packages("ninja-build", "samurai", "ninja-build"),
    "node": Packages("nodejs", "nodejs", "nodejs"),
    "npm": Packages("npm", "npm", "npm"),
    "nslookup": Packages("dnsutils", "bind-tools", "bind-utils"),
    "openssl": Packages("openssl", "openssl", "openssl"),
    "patch": Packages("patch", "patch", "patch"),
    "perl": Packages("perl", "perl", "perl"),
    "pg_config": Packages("libpq-dev", "libpq-dev", "libpq-devel"),
    "pgrep": Packages("procps", "procps", "procps-ng"),
    "ping": Packages("iputils-ping", "iputils", "iputils"),
    "pip": Packages("python3-pip", "py3-pip", "python3-pip"),
    "pip3": Packages("python3-pip", "py3-pip", "python3-pip"),
    "pkg-config": Packages("pkg-config", "pkgconf", "pkgconf-pkg-config"),
    "ps": Packages("procps", "procps", "procps-ng"),
    "psql": Packages("postgresql-client", "postgresql-client", "postgresql"),
    "python": Packages("python-is-python3", "python3", "python-unversioned-command"),
    "python3": Packages("python3", "python3", "python3"),
    "rsync": Packages("rsync", "rsync", "rsync"),
    "rustc": Packages("rustc", "rust", "rust"),
    "ssh": Packages("openssh-client", "openssh-client", "openssh-clients"),
    "sudo": Packages("sudo", "sudo", "sudo"),
    "swig": Packages("swig", "swig", "swig"),
    "tini": Packages("tini", "tini", "tini"),
    "unzip": Packages("unzip", "unzip", "unzip"),
    "useradd": Packages("passwd", "shadow", "shadow-utils"),
    "vim": Packages("vim", "vim", "vim-enhanced"),
    "wget": Packages("wget", "wget", "wget"),
    "which": Packages("debianutils", "which", "which"),
    "xz": Packages("xz-utils", "xz", "xz"),
    "zip": Packages("zip", "zip", "zip"),
    "zstd": Packages("zstd", "zstd", "zstd"),
}

# The ID of /etc/os-release → which program installs packages there.
FAMILIES = {
    **dict.fromkeys(("debian", "ubuntu", "raspbian", "kali", "linuxmint"), "apt"),
    **dict.fromkeys(("alpine", "wolfi", "chainguard", "postmarketos"), "apk"),
    **dict.fromkeys(("fedora", "rhel", "centos", "rocky", "almalinux", "ol", "amzn"), "dnf"),
}
INSTALL = {
    "apt": "RUN apt-get update && apt-get install -y --no-install-recommends {}",
    "apk": "RUN apk add --no-cache {}",
    "dnf": "RUN dnf install -y {}",
}
# Headers and shared libraries, by how their names begin.
HEADERS: dict[str, tuple[str, str]] = {
    "Python.h": ("python3-dev", "python3-dev"),
    "pyconfig.h": ("python3-dev", "python3-dev"),
    "libpq-fe.h": ("libpq-dev", "libpq-dev"),
    "openssl/": ("libssl-dev", "openssl-dev"),
    "ffi.h": ("libffi-dev", "libffi-dev"),
    "zlib.h": ("zlib1g-dev", "zlib-dev"),
    "jpeglib.h": ("libjpeg-dev", "jpeg-dev"),
    "libxml/": ("libxml2-dev", "libxml2-dev"),
    "curl/": ("libcurl4-openssl-dev", "curl-dev"),
    "sqlite3.h": ("libsqlite3-dev", "sqlite-dev"),
    "linux/": ("linux-libc-dev", "linux-headers"),
    "stdio.h": ("libc6-dev", "musl-dev"),
    "stdlib.h": ("libc6-dev", "musl-dev"),
}
LIBRARIES = {
    "libGL.so": "libgl1",
    "libgthread-2.0.so": "libglib2.0-0",
    "libglib-2.0.so": "libglib2.0-0",
    "libgomp.so": "libgomp1",
    "libsndfile.so": "libsndfile1",
    "libpq.so": "libpq5",
    "libxcb.so": "libxcb1",
    "libSM.so": "libsm6",
    "libXext.so": "libxext6",
    "libstdc++.so": "libstdc++6 (apt) or libstdc++ (apk)",
    "libmagic.so": "libmagic1",
}
OWN_INSTALLERS = {
    "apt-get": "apt",
    "apt": "apt",
    "dpkg": "apt",
    "apk": "apk",
    "yum": "dnf",
    "dnf": "dnf",
    "microdnf": "dnf",
}


def family_of(ids: str) -> str:
    """Return "apt", "apk" or "dnf" for the IDs of an os-release file, nearest first; "" for others.

    Example: "linuxmint ubuntu debian" → "apt".
    """
    return next((FAMILIES[one] for one in ids.split() if one in FAMILIES), "")


def look_up(table: Mapping[str, T], name: str) -> T | None:
    """Return what a table has for a name that begins as one of its keys."""
    return next((value for start, value in table.items() if name.startswith(start)), None)


def how_to_get(command: str, ids: str) -> str:
    """Return what brings a command into an image of such a system; "" when that is not known.

    Example: ("curl", "alpine") → "RUN apk add --no-cache curl".
    """
    family = family_of(ids)
    foreign = OWN_INSTALLERS.get(command)
    if foreign and family and foreign != family:
        return f"this image's packages come with {'apt-get' if family == 'apt' else family}: {INSTALL[family].format('…')}"
    known = COMMANDS.get(command)
    if known is None:
        return ""
    if family:
        name = getattr(known, family)
        return INSTALL[family].format(name) if name else ""
    names = [f"{name} ({way})" for way, name in zip(Packages._fields, known, strict=True) if name]
    return f"it comes with the package {', '.join(names)}"

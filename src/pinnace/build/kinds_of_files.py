"""Knows what a file in an image is, by its path: so that what weighs can be told in words. Pure.

Two tables, first match wins: `KINDS` (what a file is) and `WASTE` (what no image needs, and how it stays out).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OTHER = "other files"

# Paths are relative, as in a layer. Source: file lists of Debian's, Alpine's and the language's own packages.
KINDS: tuple[tuple[str, str], ...] = (
    (r"(^|/)\.git/", "version control"),
    (
        r"^var/(cache|lib/apt/lists)/|(^|/)\.(cache|npm|m2|gradle|bundle)/|(^|/)\.cargo/registry/|(^|/)pkg/mod/cache/"
        r"|^opt/conda/pkgs/",
        "package caches",
    ),
    (r"^usr/local/cuda|(^|/)cuda-\d", "CUDA"),
    (
        r"^usr/(lib|libexec|lib64)/(gcc|llvm-?\d*|clang|go|jvm|rustlib)|^usr/local/go/|(^|/)(\.rustup|rustup)/|(^|/)\.?cargo/bin/"
        r"|^usr/(local/)?bin/(.*-)?(gcc|g\+\+|cpp|c\+\+|clang|ld|as|ar|nm|ranlib|objdump|objcopy|gfortran|make|cmake|ctest|cpack"
        r"|ninja|rustc|cargo|go|javac|dwp|lto-dump|gdb|strip|readelf|gprof|gold|ld\.gold|ld\.bfd|bfd|cc)(-[\d.]+)?(\.bfd|\.gold)?$"
        r"|/(cc1|cc1plus|lto1|collect2|f951)$|lib(bfd|opcodes|LLVM|clang)[^/]*\.so|lib/.*/lib(asan|tsan|ubsan|lsan|hwasan)\.",
        "compilers",
    ),
    (r"(^|/)include/|\.(h|hh|hpp|a|la|pc)$|/pkgconfig/|/cmake/", "headers and static libraries"),
    (r"(^|/)node_modules/", "node_modules"),
    (r"(site|dist)-packages/", "Python packages"),
    (r"\.(safetensors|pt|pth|ckpt|gguf|ggml|onnx|h5|npy|npz|parquet|tflite)$", "models and data"),
    (r"^usr/(local/)?share/(doc|man|info|locale|i18n|help)/", "documentation and translations"),
    (
        r"^usr/lib/python3?|^usr/local/lib/python\d|^usr/(local/)?lib/perl|^usr/share/perl",
        "language runtimes",
    ),
    (
        r"\.(o|obj|c|cc|cpp|rs|go|java|class|ts|map|rlib|rmeta)$|(^|/)target/(debug|release)/",
        "sources and object files",
    ),
    (r"\.so(\.[\d.]+)?$", "shared libraries"),
    (r"(^|/)s?bin/", "programs"),
)
_KINDS = tuple((re.compile(pattern), kind) for pattern, kind in KINDS)


def kind_of(path: str) -> str:
    """Return what a file is. Example: "usr/include/stdio.h" → "headers and static libraries"."""
    return next((kind for pattern, kind in _KINDS if pattern.search(path)), OTHER)


@dataclass(frozen=True, slots=True)
class Waste:
    """Files that an image doesn't need: what they are, and how they stay out."""

    pattern: re.Pattern[str]
    what: str
    remedy: str


WASTE: tuple[Waste, ...] = tuple(
    Waste(re.compile(pattern), what, remedy)
    for pattern, what, remedy in (
        (
            r"^var/lib/apt/lists/.",
            "apt's package lists",
            "end the same RUN with && rm -rf /var/lib/apt/lists/*",
        ),
        (
            r"^var/cache/apt/.",
            "apt's downloads",
            "end the same RUN with && apt-get clean, or RUN --mount=type=cache,target=/var/cache/apt",
        ),
        (r"^var/cache/apk/.|^etc/apk/cache/.", "apk's cache", "apk add --no-cache"),
        (r"^var/cache/(dnf|yum)/.", "dnf's cache", "end the same RUN with && dnf clean all"),
        (
            r"(^|/)\.cache/pip/.",
            "pip's cache",
            "pip install --no-cache-dir, or RUN --mount=type=cache,target=/root/.cache/pip",
        ),
        (r"(^|/)\.cache/uv/.", "uv's cache", "RUN --mount=type=cache,target=/root/.cache/uv"),
        (r"(^|/)\.npm/_cacache/.", "npm's cache", "RUN --mount=type=cache,target=/root/.npm"),
        (
            r"(^|/)\.cache/yarn/.|/share/\.cache/yarn/.",
            "yarn's cache",
            "end the same RUN with && yarn cache clean",
        ),
        (r"^opt/conda/pkgs/.", "conda's packages", "end the same RUN with && conda clean -afy"),
        (
            r"(^|/)\.cargo/registry/.",
            "cargo's registry",
            "RUN --mount=type=cache,target=/usr/local/cargo/registry",
        ),
        (
            r"(^|/)pkg/mod/cache/.|(^|/)\.cache/go-build/.",
            "go's caches",
            "RUN --mount=type=cache,target=/root/.cache/go-build",
        ),
        (r"(^|/)\.m2/repository/.", "maven's repository", "RUN --mount=type=cache,target=/root/.m2"),
        (r"(^|/)\.git/.", "a git repository", "a line .git in .dockerignore"),
        (
            r"(^|/)\.?venv/.*pyvenv\.cfg$|(^|/)\.venv/.",
            "a virtual environment of the host",
            "a line .venv in .dockerignore",
        ),
        (r"^tmp/.|^var/tmp/.", "temporary files", "remove them in the same RUN"),
    )
)


def waste_of(path: str) -> Waste | None:
    """Return what kind of waste a file is, if it is any."""
    return next((one for one in WASTE if one.pattern.search(path)), None)

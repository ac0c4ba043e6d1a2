"""Which apt sources base images are made from, and what their cache is keyed by."""

from examples.base.recipes import RECIPES, Recipe
from examples.base.sources import Source, choose_sources, render_sources

DEBIAN = """\
Types: deb
# a comment within
URIs: http://deb.debian.org/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://deb.debian.org/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""

OTHERS = """\
deb [arch=amd64 signed-by=/etc/apt/keyrings/docker.asc] https://download.docker.com/linux/debian bookworm stable
deb https://apt.postgresql.org/pub/repos/apt bookworm-pgdg main
# deb http://deb.debian.org/debian bookworm main
deb-src http://deb.debian.org/debian bookworm main
"""


def test_only_the_distributions_own_sources_are_taken() -> None:
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    assert choose_sources({"debian.sources": DEBIAN, "others.list": OTHERS}, "bookworm") == (
        Source(("http://deb.debian.org/debian",), ("bookworm", "bookworm-updates"), ("main",), keyring),
        Source(("http://deb.debian.org/debian-security",), ("bookworm-security",), ("main",), keyring),
    )


def test_ubuntus_universe_is_taken_as_it_has_pip() -> None:
    text = (
        "Types: deb\nURIs: http://archive.ubuntu.com/ubuntu/\nSuites: noble noble-updates noble-backports\n"
    )
    text += "Components: main universe restricted multiverse\nSigned-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg\n"
    (source,) = choose_sources({"ubuntu.sources": text}, "noble")
    assert source.suites == ("noble", "noble-updates")
    assert source.components == ("main", "universe")


def test_one_line_style_is_read_with_its_options() -> None:
    text = "deb [signed-by=/k.gpg] http://mirror/debian bookworm main contrib # near\n"
    assert choose_sources({"sources.list": text}, "bookworm") == (
        Source(("http://mirror/debian",), ("bookworm",), ("main",), "/k.gpg"),
    )


def test_a_source_that_is_switched_off_is_left_out() -> None:
    assert choose_sources({"debian.sources": "Enabled: no\n" + DEBIAN.split("\n\n")[0]}, "bookworm") == ()


def test_sources_are_written_as_apt_reads_them() -> None:
    sources = choose_sources({"debian.sources": DEBIAN}, "bookworm")
    assert choose_sources({"again.sources": render_sources(sources)}, "bookworm") == sources


def test_another_package_is_another_root_filesystem() -> None:
    one, other = (Recipe("base:1", "minbase", packages) for packages in (("python3",), ("python3", "gcc")))
    assert one.key("bookworm", "amd64") != other.key("bookworm", "amd64")
    assert one.key("bookworm", "amd64") != one.key("noble", "amd64")
    assert one.key("bookworm", "amd64").startswith("base-1-bookworm-amd64-")


def test_the_runtime_base_has_no_compiler_and_no_pip() -> None:
    (runtime,) = (recipe for recipe in RECIPES if recipe.reference == "python-runtime:3")
    assert runtime.packages == ("python3", "libstdc++6")

"""The person's credentials on disk, and real (small) helpers that speak docker-credential-helpers' protocol."""

import json
import os
import stat
from pathlib import Path

import pytest

from pinnace.base.credentials import Credential
from pinnace.base.errors import UserError
from pinnace.cli.credentials import Credentials

ADA = Credential("ada", "secret")

HELPER = """#!/bin/sh
# Keeps one credential in a file, and notes how it was called.
echo "$1" >> {folder}/calls
case "$1" in
store) cat > {folder}/kept ;;
get) read -r server; test -e {folder}/kept && cat {folder}/kept && exit 0
     echo "credentials not found in native keychain"; exit 1 ;;
erase) rm -f {folder}/kept ;;
esac
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DOCKER_CONFIG", "SUDO_UID", "SUDO_GID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    programs = tmp_path / "bin"
    programs.mkdir()
    helper = programs / "docker-credential-test"
    helper.write_text(HELPER.format(folder=tmp_path))
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return tmp_path


def write(home: Path, document: object) -> Path:
    path = home / ".docker" / "config.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def test_a_first_login_makes_a_file_that_only_the_person_can_read(home: Path) -> None:
    assert Credentials().store("ghcr.io", ADA) == ""
    path = home / ".docker" / "config.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert Credentials().find("ghcr.io") == ADA
    assert Credentials().find_for("ghcr.io") == {
        "ghcr.io": {"username": "ada", "password": "secret", "identity_token": ""}
    }
    assert Credentials().find_for("quay.io") == {}


def test_what_others_keep_in_the_file_stays_and_nothing_lies_beside_it(home: Path) -> None:
    path = write(home, {"proxies": {"default": {}}, "auths": {"quay.io": {"auth": "YTpi"}}})
    Credentials().store("ghcr.io", ADA)
    Credentials().erase("quay.io")
    assert json.loads(path.read_text()) == {
        "proxies": {"default": {}},
        "auths": {"ghcr.io": {"auth": "YWRhOnNlY3JldA=="}},
    }
    assert os.listdir(path.parent) == ["config.json"]


def test_a_file_behind_a_link_is_changed_where_it_is(home: Path) -> None:
    real = home / "dotfiles.json"
    real.write_text("{}")
    (home / ".docker").mkdir()
    (home / ".docker" / "config.json").symlink_to(real)
    Credentials().store("ghcr.io", ADA)
    assert (home / ".docker" / "config.json").is_symlink()
    assert "ghcr.io" in real.read_text()


def test_the_folder_may_be_named_by_a_variable(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(home / "other"))
    Credentials().store("ghcr.io", ADA)
    assert (home / "other" / "config.json").exists()


def test_a_helper_keeps_what_the_file_then_only_names(home: Path) -> None:
    path = write(home, {"credHelpers": {"ghcr.io": "test"}})
    kept = Credentials()
    assert kept.find("ghcr.io") is None
    assert kept.store("ghcr.io", ADA) == "test"
    assert json.loads(path.read_text())["auths"] == {"ghcr.io": {}}
    assert kept.find("ghcr.io") == ADA
    kept.erase("ghcr.io")
    assert kept.find("ghcr.io") is None
    assert json.loads(path.read_text())["auths"] == {}
    assert (home / "calls").read_text().split() == ["get", "store", "get", "erase", "get"]


def test_all_credentials_are_found_without_asking_helpers(home: Path) -> None:
    write(
        home,
        {"credsStore": "test", "auths": {"https://index.docker.io/v1/": {"auth": "YTpi"}, "ghcr.io": {}}},
    )
    assert Credentials().find_all() == {"docker.io": {"username": "a", "password": "b", "identity_token": ""}}
    assert not (home / "calls").exists()


def test_a_helper_that_is_not_there_is_named(home: Path) -> None:
    write(home, {"credsStore": "absent"})
    with pytest.raises(UserError, match="docker-credential-absent can't be started") as caught:
        Credentials().find("ghcr.io")
    assert "config.json" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_under_sudo_the_file_is_the_invoking_users(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    nobody = pwd.getpwnam("nobody")
    monkeypatch.setenv("SUDO_UID", str(nobody.pw_uid))
    monkeypatch.setenv("SUDO_GID", str(nobody.pw_gid))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: pwd.struct_passwd((*nobody[:5], str(home), "")))
    Credentials().store("ghcr.io", ADA)
    Credentials().store("quay.io", ADA)
    for path in (home / ".docker", home / ".docker" / "config.json"):
        assert (path.stat().st_uid, path.stat().st_gid) == (nobody.pw_uid, nobody.pw_gid)

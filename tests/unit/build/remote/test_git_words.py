"""How git is called and understood. Expected values: gitrevisions(7), git-ls-remote(1); what git 2.39 wrote in these cases."""

from __future__ import annotations

import pytest

from pinnace.base.errors import HostError, PinnaceError, UserError
from pinnace.build.remote.addresses import GitSource
from pinnace.build.remote.git_words import (
    GitPlaces,
    check_commit,
    choose_ref,
    explain_failure,
    parse_refs,
    render_environment,
    render_login,
)

A, B, C = "a" * 40, "b" * 40, "c" * 40
SOURCE = GitSource(url="https://me:pass@h.io/x.git", ref="v1")


def test_tag_wins_over_branch_and_means_what_it_points_at() -> None:
    listed = parse_refs(f"{A}\trefs/heads/v1\n{B}\trefs/tags/v1\n{C}\trefs/tags/v1^{{}}\nwarning: x\n")
    assert choose_ref("v1", listed) == ("refs/tags/v1", C)
    assert choose_ref("refs/heads/v1", listed) == ("refs/heads/v1", A)
    assert choose_ref("", {"HEAD": A}) == ("HEAD", A)
    assert choose_ref("v", listed) is None


def test_checksum_may_be_the_start_of_the_commit() -> None:
    check_commit(GitSource(url="x", checksum=A[:8]), A)
    with pytest.raises(UserError, match="expected checksum to match"):
        check_commit(GitSource(url="x", checksum=B[:8]), A)


def test_environment_holds_no_configuration_of_this_machines_users_and_no_prompt() -> None:
    environment = render_environment(SOURCE, GitPlaces("/c", "/k"), {"https": "http://p", "no": "x"}, "/bin")
    assert environment["GIT_CONFIG_NOSYSTEM"] == "1"
    assert environment["GIT_CONFIG_GLOBAL"] == "/c"
    assert environment["GIT_TERMINAL_PROMPT"] == "0"
    assert environment["GIT_ALLOW_PROTOCOL"] == "http:https:ssh:git"
    assert "-F /dev/null -o BatchMode=yes" in environment["GIT_SSH_COMMAND"]
    assert "IdentityFile=none" in environment["GIT_SSH_COMMAND"]
    assert (environment["https_proxy"], environment["no_proxy"]) == ("http://p", "x")
    assert "SSH_AUTH_SOCK" not in environment
    agent = render_environment(SOURCE, GitPlaces("/c", "/k", "/agent"), {}, "/bin")
    assert agent["SSH_AUTH_SOCK"] == "/agent"
    assert "IdentityFile" not in agent["GIT_SSH_COMMAND"]


def test_header_goes_to_the_server_that_it_is_for() -> None:
    headers = {"h.io": "Authorization: one", "": "Authorization: any"}
    assert render_login(SOURCE, headers)["GIT_CONFIG_KEY_0"] == "http.https://h.io/.extraheader"
    assert render_login(SOURCE, headers)["GIT_CONFIG_VALUE_0"] == "Authorization: one"
    assert (
        render_login(GitSource(url="https://other/x.git"), headers)["GIT_CONFIG_VALUE_0"]
        == "Authorization: any"
    )
    assert render_login(GitSource(url="https://other/x.git"), {"h.io": "x"}) == {}
    assert render_login(GitSource(url="git@h.io:x"), headers) == {}


@pytest.mark.parametrize(
    ("stderr", "kind", "hint"),
    [
        ("fatal: could not read Username for 'https://h.io': terminal prompts disabled", UserError, "wants a login"),
        ("remote: Repository not found.\nfatal: repository 'https://me:pass@h.io/x.git/' not found", UserError, "is the address right"),
        ("git@h.io: Permission denied (publickey).\nfatal: Could not read from remote repository.", UserError, "--ssh default"),
        ("fatal: unable to access 'https://me:pass@h.io/x.git/': Could not resolve host: h.io", HostError, "name right"),
        ("fatal: unable to access 'x': Failed to connect to h.io port 443", HostError, "proxy"),
        ("fatal: something new", HostError, "git ls-remote"),
        ("", HostError, "git ls-remote"),
    ],
)  # fmt: skip
def test_failure_is_told_in_gits_words_without_the_password(
    stderr: str, kind: type[PinnaceError], hint: str
) -> None:
    error = explain_failure(SOURCE, stderr, 128)
    assert type(error) is kind
    assert hint in error.hint
    assert "pass@" not in error.message + error.hint

"""Who a container's process is. Expected values: what `docker run --user … debian id` prints with such files."""

from __future__ import annotations

import pytest

from pinnace.base.errors import UserError
from pinnace.container.plan import User
from pinnace.container.users import resolve_user

PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/home/app:/bin/sh\nbroken line\nweb:x:33:33::/var/www:\n"
GROUP = "root:x:0:\napps:x:1001:\nextra:x:2000:app,web\nvideo:x:44:app\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", User(0, 0, (0,), "/root")),
        ("root", User(0, 0, (0,), "/root")),
        ("app", User(1000, 1001, (1001, 2000, 44), "/home/app")),
        ("1000", User(1000, 1001, (1001, 2000, 44), "/home/app")),
        ("app:extra", User(1000, 2000, (2000,), "/home/app")),
        ("app:77", User(1000, 77, (77,), "/home/app")),
        ("4711", User(4711, 0, (0,), "/")),
        ("4711:44", User(4711, 44, (44,), "/")),
    ],
)
def test_user_is_resolved_against_the_rootfs(text: str, expected: User) -> None:
    assert resolve_user(PASSWD, GROUP, text) == expected


def test_primary_group_can_be_overridden_and_groups_added_once() -> None:
    assert resolve_user(PASSWD, GROUP, "app", gid=5, extra_groups=("video", 9, 9)) == User(
        1000, 5, (5, 2000, 44, 9), "/home/app"
    )


def test_image_without_files_still_has_root() -> None:
    assert resolve_user("", "", "") == User(0, 0, (0,), "/")


@pytest.mark.parametrize(
    ("text", "message"),
    [("nobody", "user nobody"), ("app:none", "group none"), ("99999999999", "out of range")],
)
def test_unknown_name_is_a_user_error_with_a_hint(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        resolve_user(PASSWD, GROUP, text)
    assert caught.value.hint

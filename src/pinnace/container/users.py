"""Decides which uid, gid and groups a container's process has. Pure: the texts of passwd and group in, numbers out.

Called by `sandbox/` with the files of the container's own rootfs; never looks at the host's users.
Source: the Dockerfile reference (USER), and the messages that `docker run --user` prints; CVE-2022-36109 for the primary
group among the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pinnace.base.errors import UserError
from pinnace.container.plan import User


@dataclass(frozen=True, slots=True)
class _Passwd:
    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    gid: int
    members: tuple[str, ...]


def resolve_user(
    passwd: str, group: str, user: str, *, gid: int | None = None, extra_groups: Sequence[str | int] = ()
) -> User:
    """Return the ids for `user`, written as in a Dockerfile: "", NAME, UID, NAME:GROUP, UID:GID.

    `gid` overrides the primary group. Without a group in `user`, the groups that list the user are added. The primary
    group is among the supplementary ones too: a process could otherwise get around what a file denies to its group.
    Raises: UserError when a name is in neither file.
    Example: "app" with the line "app:x:1000:1000::/home/app:/bin/sh" is uid 1000, gid 1000, home /home/app.
    """
    users, groups = _parse_passwd(passwd), _parse_group(group)
    name, _, group_name = user.partition(":")
    entry = _find_user(users, name)
    uid = entry.uid if entry else _to_id(name, "user", "passwd")
    primary = entry.gid if entry else 0
    if group_name:
        primary = _find_gid(groups, group_name)
    supplementary: list[int] = []
    if not group_name and entry:
        supplementary = [one.gid for one in groups if entry.name in one.members]
    if gid is not None:
        primary = gid
    supplementary += [one if isinstance(one, int) else _find_gid(groups, one) for one in extra_groups]
    unique = tuple(dict.fromkeys((primary, *supplementary)))
    return User(uid=uid, gid=primary, groups=unique, home=entry.home if entry and entry.home else "/")


def _find_user(users: Sequence[_Passwd], name: str) -> _Passwd | None:
    if name == "":
        name = "0"
    by_name = next((one for one in users if one.name == name), None)
    if by_name is not None or not name.isdecimal():
        return by_name
    return next((one for one in users if one.uid == int(name)), None)


def _find_gid(groups: Sequence[_Group], name: str) -> int:
    found = next((one.gid for one in groups if one.name == name), None)
    return _to_id(name, "group", "group") if found is None else found


def _to_id(text: str, what: str, file: str) -> int:
    if text == "":
        return 0
    if not text.isdecimal():
        raise UserError(
            f"unable to find {what} {text}: no matching entries in {file} file",
            hint=f"name a {what} that /etc/{file} in the image has, or use a number",
        )
    number = int(text)
    if number > 2**31 - 1:
        raise UserError(f"{what} id {text} is out of range", hint="ids go from 0 to 2147483647")
    return number


def _parse_passwd(text: str) -> list[_Passwd]:
    users = []
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) >= 6 and fields[2].isdecimal() and fields[3].isdecimal():
            users.append(_Passwd(fields[0], int(fields[2]), int(fields[3]), fields[5]))
    return users


def _parse_group(text: str) -> list[_Group]:
    groups = []
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) >= 3 and fields[2].isdecimal():
            members = tuple(name for name in (fields[3].split(",") if len(fields) > 3 else ()) if name)
            groups.append(_Group(fields[0], int(fields[2]), members))
    return groups

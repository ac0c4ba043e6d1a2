"""What `RUN --mount=…` may say, with BuildKit's own words for what it may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnace.dockerfile.mounts import KEYS, MountError, MountFlag, check_mount, parse_mount

VALUES = {"NAME": "pip", "DIR": "/root/.cache"}


def expand(word: str) -> str:
    for name, value in VALUES.items():
        word = word.replace(f"${name}", value)
    return word


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("target=/x", MountFlag(target="/x")),
        ("type=bind,from=a,source=/s,dst=/x", MountFlag(from_="a", source="/s", target="/x")),
        ("type=bind,target=/x,rw", MountFlag(target="/x", read_only=False)),
        ("type=bind,target=/x,readwrite=false", MountFlag(target="/x")),
        ("type=cache,destination=/x", MountFlag(type="cache", target="/x", read_only=False)),
        ("type=cache,target=/x,ro", MountFlag(type="cache", target="/x")),
        ("TYPE=Cache,Target=/x,ro=0", MountFlag(type="cache", target="/x", read_only=False)),
        (
            "type=cache,id=$NAME,target=$DIR/pip,sharing=LOCKED,uid=1000,gid=100,mode=0700",
            MountFlag(
                type="cache",
                id="pip",
                target="/root/.cache/pip",
                sharing="locked",
                uid=1000,
                gid=100,
                mode=0o700,
                read_only=False,
            ),
        ),
        ("type=tmpfs,target=/t,size=1.5k", MountFlag(type="tmpfs", target="/t", size=1536, read_only=False)),
        (
            "type=tmpfs,target=/t,size=10MiB",
            MountFlag(type="tmpfs", target="/t", size=10 << 20, read_only=False),
        ),
        ("type=secret,id=aws", MountFlag(type="secret", id="aws")),
        ("type=secret,id=t,env=TOKEN,required", MountFlag(type="secret", id="t", env="TOKEN", required=True)),
        ("type=ssh", MountFlag(type="ssh")),
        ("type=ssh,required=1,mode=0666", MountFlag(type="ssh", required=True, mode=0o666)),
        ('type=cache,"target=/a,b"', MountFlag(type="cache", target="/a,b", read_only=False)),
    ],
)
def test_what_is_written(text: str, expected: MountFlag) -> None:
    assert parse_mount(text, expand) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=volume,target=/x", 'unsupported mount type "volume"'),
        ("type=cache,target", "invalid field 'target' must be a key=value pair"),
        ("type=cache,tagret=/x", "unexpected key 'tagret' in 'tagret=/x'"),
        ("type=cache,target=/x,sharing=public", 'unsupported sharing value "public"'),
        ("type=bind,target=/x,sharing=shared", "invalid cache sharing set for bind mount"),
        ("type=bind,target=/x,size=1m", "unexpected key 'size' for mount type 'bind'"),
        ("type=cache,target=/x,required", "unexpected key 'required' for mount type 'cache'"),
        ("type=tmpfs,target=/x,size=big", "invalid value for size: big"),
        ("type=bind,target=/x,ro=maybe", "invalid value for ro: maybe"),
        ("type=bind,target=/x,mode=0700", 'mode not allowed for "bind" type mounts'),
        ("type=tmpfs,target=/x,uid=1", 'uid not allowed for "tmpfs" type mounts'),
        ("type=cache,target=/x,mode=0999", "invalid value 0999 for mode"),
        ("type=cache,target=/x,uid=root", "invalid value root for uid"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,src=b", "both source and id can't be set"),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("type=secret,id=a,sharing=locked", "secret mount should not define sharing"),
        ("type=ssh,source=/x", "ssh does not support source"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(MountError) as caught:
        parse_mount(text, expand)
    assert str(caught.value) == message
    assert caught.value.hint


def test_the_stage_of_a_mount_has_no_variables() -> None:
    with pytest.raises(MountError, match="'from' doesn't support variable expansion"):
        check_mount("type=bind,from=$STAGE,target=/x")
    check_mount("type=bind,from=a$,target=$X")


@pytest.mark.parametrize(
    ("text", "secret", "target"),
    [
        ("type=secret,id=aws", "aws", "/run/secrets/aws"),
        ("type=secret,id=a/b", "a/b", "/run/secrets/b"),
        ("type=secret,target=/etc/token", "token", "/etc/token"),
        ("type=secret,source=x,target=/etc/token", "x", "/etc/token"),
        ("type=secret,id=x,env=TOKEN", "x", ""),
        ("type=secret,id=x,env=TOKEN,target=/t", "x", "/t"),
    ],
)
def test_where_a_secret_goes(text: str, secret: str, target: str) -> None:
    mount = parse_mount(text, expand)
    assert (mount.secret_id, mount.secret_target) == (secret, target)


_VALUES = st.one_of(
    st.sampled_from(
        ["bind", "cache", "tmpfs", "secret", "ssh", "locked", "true", "0755", "/x", "1g", "$A", ""]
    ),
    st.text(max_size=6),
)
_FIELDS = st.one_of(
    st.tuples(st.sampled_from(KEYS), _VALUES).map("=".join), st.sampled_from(KEYS), st.text(max_size=9)
)


@given(st.lists(_FIELDS, max_size=6).map(",".join))
def test_any_text_is_a_mount_or_is_refused_with_a_hint(text: str) -> None:
    try:
        mount = parse_mount(text, expand)
    except MountError as refused:
        told = (str(refused), refused.hint)
    else:
        told = (mount.type, mount.type)
    assert all(told)

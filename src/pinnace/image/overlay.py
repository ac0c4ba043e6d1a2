"""Decides how the layers of an image become one root filesystem: an overlayfs mount, as data.

Pure. `mounts` carries it out. Invariant: layers are given bottom first everywhere in this room, and turned round only
here, because overlayfs wants the top first.
Source: Linux, filesystems/overlayfs.rst.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pinnace.base.errors import UserError

# Docker's and containerd's limit too; the kernel's is 500 (OVL_MAX_STACK).
LAYERS_MAX = 128
# redirect_dir, metacopy: an upper directory has to stand for itself when it becomes a layer, and a layer from elsewhere
# must not lead to other places. index: uppers are copied and moved.
FIXED_OPTIONS = ("index=off", "redirect_dir=nofollow", "metacopy=off")
# mount(2) takes one page of options. Source: linux/fs/namespace.c, copy_mount_options
OPTIONS_MAX_BYTES = 4095


class MountPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One overlayfs mount at `target`. `lowers` stand top first; without `upper` it is read-only.

    `volatile`: the upper is not written to disk by force; after a crash of the machine it is of no use.
    """

    target: str
    lowers: tuple[str, ...]
    upper: str = ""
    work: str = ""
    volatile: bool = False

    def describe(self) -> str:
        """Return the plan as a person reads it, top first."""
        lines = [f"overlay at {self.target}" + (" (volatile)" if self.volatile else "")]
        lines += [f"  writes    {self.upper}" if self.upper else "  read-only"]
        lines += [f"  layer {len(self.lowers) - i:3} {path}" for i, path in enumerate(self.lowers)]
        return "\n".join(lines)


def plan_mount(
    target: str,
    layers: Sequence[str],
    *,
    upper: str = "",
    work: str = "",
    empty: str,
    volatile: bool = False,
    below: str = "",
) -> MountPlan:
    """Return the mount that puts `layers` (bottom first) on top of each other.

    `empty`: an empty directory, for images without layers, and because a read-only overlay needs two lowers.
    `below`: one more directory, beneath all of them.
    Raises: UserError when there are more layers than an image may have.
    """
    if len(layers) > LAYERS_MAX:
        raise UserError(
            f"the image has {len(layers)} layers, more than the {LAYERS_MAX} that can be mounted",
            hint="join RUN and COPY steps, or copy the result into a new stage",
        )
    # Two steps may have made the same layer. The upper one hides all of the lower; overlayfs refuses to mount it twice.
    lowers = (*dict.fromkeys(reversed(layers)), *((below,) if below else ()))
    if not lowers or (not upper and len(lowers) == 1):
        lowers = (*lowers, empty)
    if not upper and len(lowers) == 1:
        lowers = (*lowers, empty + "/x")
    return MountPlan(target=target, lowers=lowers, upper=upper, work=work, volatile=volatile)


def render_options(plan: MountPlan, names: Sequence[str] | None = None) -> bytes:
    """Return the options for mount(2). `names`: what to call the directories (lowers, then upper and work) instead.

    Raises: ValueError when they take more than a page: call the directories by descriptors then.
    """
    given = [*plan.lowers, *((plan.upper, plan.work) if plan.upper else ())]
    called = [escape(path) for path in (names or given)]
    lowers, rest = called[: len(plan.lowers)], called[len(plan.lowers) :]
    options = ["lowerdir=" + ":".join(lowers)]
    if plan.upper:
        options += [f"upperdir={rest[0]}", f"workdir={rest[1]}"]
        options += ["volatile"] if plan.volatile else []
    data = ",".join((*options, *FIXED_OPTIONS)).encode(errors="surrogateescape")
    if len(data) > OPTIONS_MAX_BYTES:
        raise ValueError(f"the mount options take {len(data)} bytes")
    return data


def escape(path: str) -> str:
    """Escape what overlayfs takes for a separator. Example: "/a:b" gives "/a\\\\:b"."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")

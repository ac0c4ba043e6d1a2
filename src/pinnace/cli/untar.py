"""Unpacks what a build gives into a folder of the person's, with the person's own rights.

A doer. Files belong to whoever runs the command, as BuildKit's local exporter has it; what is there already stays, unless
the archive has something of that name. Device files are left out.
Invariant: nothing outside the folder is touched: every name is opened beneath it without following a link.
"""

from __future__ import annotations

import contextlib
import os
import stat

from pinnace.base.errors import HostError, UserError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterator

BUFFER_BYTES = 1 << 18
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Pieces:
    """An iterator of bytes as a file to read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; fewer only at the end."""
        found = [self._rest]
        length = len(self._rest)
        while length < size and (piece := next(self._pieces, b"")):
            found.append(piece)
            length += len(piece)
        data = b"".join(found)
        self._rest = data[size:]
        return data[:size]


def unpack(pieces: Iterator[bytes], folder: str) -> int:
    """Unpack a tar into a folder, which is made if it isn't there; return how many special files were left out.

    Raises: UserError (what can't be written, an archive that is not one), HostError.
    """
    import tarfile

    try:
        os.makedirs(folder, exist_ok=True)
        with (
            _Folder(folder) as target,
            tarfile.open(fileobj=Pieces(pieces), mode="r|", bufsize=BUFFER_BYTES) as archive,  # type: ignore[call-overload]
        ):
            for member in archive:
                target.add(archive, member)
            target.finish()
            return target.left_out
    except OSError as error:
        name = error.filename2 or error.filename or folder
        raise UserError(f"{folder}: {os.fsdecode(str(name))}: {error.strerror}") from error
    except tarfile.TarError as error:
        raise HostError(f"what the daemon sent is damaged: {error}", hint="try again") from error


class _Folder:
    """The folder that is filled. Folders get their modes and times at the end: until then they must be writable."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._folders: dict[tuple[str, ...], tuple[int, float]] = {}
        self.left_out = 0

    def __enter__(self) -> _Folder:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def add(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = _parts_of(member.name)
        if not parts:
            return
        with self._above(parts) as above:
            name = parts[-1]
            if member.isdir():
                self._open_folder(above, name, made=True)
                self._folders[parts] = stat.S_IMODE(member.mode), member.mtime
            elif member.isreg():
                self._file(archive, member, above, name)
            elif member.issym():
                self._place(above, name, lambda new: os.symlink(member.linkname, new, dir_fd=above))
            elif member.islnk():
                self._link(member, above, name)
            elif member.isfifo():
                self._place(above, name, lambda new: os.mkfifo(new, member.mode & 0o777, dir_fd=above))
            else:
                self.left_out += 1

    def finish(self) -> None:
        """Give the folders their modes and times, the deepest first."""
        for parts, (mode, mtime) in sorted(self._folders.items(), reverse=True):
            with self._above(parts) as above:
                fd = os.open(parts[-1], _FOLDER, dir_fd=above)
                try:
                    os.utime(fd, (mtime, mtime))
                    os.fchmod(fd, mode)
                finally:
                    os.close(fd)

    @contextlib.contextmanager
    def _above(self, parts: tuple[str, ...]) -> Iterator[int]:
        """Open the folder that something stands in, making those that are missing."""
        fd = os.dup(self._fd)
        try:
            for part in parts[:-1]:
                below = self._open_folder(fd, part)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)

    def _open_folder(self, above: int, name: str, *, made: bool = False) -> int:
        """Return a folder's descriptor; -1 when it only had to be made. Anything else of that name gives way."""
        try:
            state = os.stat(name, dir_fd=above, follow_symlinks=False)
            if not stat.S_ISDIR(state.st_mode):
                os.unlink(name, dir_fd=above)
                os.mkdir(name, 0o755, dir_fd=above)
        except FileNotFoundError:
            os.mkdir(name, 0o755, dir_fd=above)
        if made:
            return -1
        return os.open(name, _FOLDER, dir_fd=above)

    def _file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, above: int, name: str) -> None:
        source = archive.extractfile(member)
        assert source is not None
        new = _temporary(name)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=above)
        try:
            with open(fd, "wb", buffering=0) as target:
                while data := source.read(BUFFER_BYTES):
                    view = memoryview(data)
                    while view:
                        view = view[target.write(view) :]
                os.fchmod(fd, stat.S_IMODE(member.mode))
                os.utime(fd, (member.mtime, member.mtime))
            self._rename(above, new, name)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(new, dir_fd=above)
            raise

    def _link(self, member: tarfile.TarInfo, above: int, name: str) -> None:
        source = _parts_of(member.linkname)
        if not source:
            raise HostError(f"the archive's link {member.name} leads nowhere")
        with self._above(source) as folder:

            def make(new: str) -> None:
                os.link(source[-1], new, src_dir_fd=folder, dst_dir_fd=above, follow_symlinks=False)

            self._place(above, name, make)

    def _place(self, above: int, name: str, make: object) -> None:
        new = _temporary(name)
        make(new)  # type: ignore[operator]
        self._rename(above, new, name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new, dir_fd=above)  # rename does nothing between two names of one file

    def _rename(self, above: int, new: str, name: str) -> None:
        try:
            os.rename(new, name, src_dir_fd=above, dst_dir_fd=above)
        except IsADirectoryError:
            _remove_folder(above, name)
            os.rename(new, name, src_dir_fd=above, dst_dir_fd=above)


def _remove_folder(above: int, name: str) -> None:
    """Remove a folder with all that is in it, following no link."""
    fd = os.open(name, _FOLDER, dir_fd=above)
    try:
        with os.scandir(fd) as found:
            items = [(item.name, item.is_dir(follow_symlinks=False)) for item in found]
        for inside, is_folder in items:
            if is_folder:
                _remove_folder(fd, inside)
            else:
                os.unlink(inside, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=above)


def _parts_of(name: str) -> tuple[str, ...]:
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise HostError(f"the archive's entry {name} has '..' in its name: it is refused")
    return parts


def _temporary(name: str) -> str:
    return f".{name[:200]}.pinnace-{os.getpid()}"

"""Makes folders and images of a build's contexts: what is a folder stays where it is, all else is fetched. A doer.

Called by `builder` for the main context before anything else, and by `run` for a named one when a step first needs it.
Invariant: everything that is made here lies in the build's work folder; of a context that came from elsewhere, no link
leads out to this machine's files.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import msgspec

from pinnace.base.errors import PinnaceError, UserError
from pinnace.base.locks import KeyedLocks
from pinnace.build.archives import is_archive
from pinnace.build.contexts.layouts import LayoutJob, pack_layout
from pinnace.build.contexts.spec import ContextFlag, MainContext, read_address
from pinnace.build.contexts.unpacking import UnpackContextJob, unpack_context
from pinnace.build.contexts.uploads import Uploads
from pinnace.build.inputs import IGNORE_FILE, BuildRequest
from pinnace.build.known import memory_path
from pinnace.build.named import NamedContext, NamedContexts
from pinnace.build.places import resolve_inside
from pinnace.build.remote.addresses import GitSource, HttpSource, RemoteSource, hide_secrets
from pinnace.build.remote.fetching import Fetching
from pinnace.build.sources import Folder
from pinnace.build.threads import in_thread
from pinnace.dockerfile.ignore import parse_ignore
from pinnace.dockerfile.source import decode_source
from pinnace.image.store import ImageStore

KEEP_GIT_ARG = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"  # Source: Dockerfile reference, "BuildKit built-in build args"
DOCKERFILE_MAX_BYTES = 16 << 20


class Contexts:
    """The contexts of one build. `until` holds what goes with the build."""

    def __init__(
        self,
        request: BuildRequest,
        fetching: Fetching,
        uploads: Uploads,
        images: ImageStore,
        work: Path,
        files: Path,
        until: AsyncExitStack,
    ) -> None:
        self._request = request
        self._fetching = fetching
        self._uploads = uploads
        self._images = images
        self._work = work
        self._files = files
        self._until = until
        self._flags = {flag.name: flag for flag in request.contexts}
        self._folders: dict[str, Folder] = {}
        self._layouts: dict[str, str] = {}
        self._locks = KeyedLocks()
        self.is_fixed = not request.source.is_folder  # nobody changes what was fetched or sent

    # --- the main context ----------------------------------------------------------------------------------------------

    async def open_main(self) -> BuildRequest:
        """Return the request with its context as a folder, and its Dockerfile as a file. Raises: UserError, HostError."""
        request = await self._open_source(self._request.source)
        text = self._request.source.dockerfile
        if text is not None:
            path = self._work / "stdin" / "Dockerfile"
            await in_thread(_write, path, text)
            request = replace(request, dockerfile=path)
        elif self._request.source.dockerfile_url:
            request = replace(request, dockerfile=await self._fetch_dockerfile())
        return request

    async def _fetch_dockerfile(self) -> Path:
        url = self._request.source.dockerfile_url
        source = read_address(url)
        if not isinstance(source, HttpSource):
            raise UserError(
                f"-f {hide_secrets(url)}: only a URL of a file can be fetched", "https://host/Dockerfile"
            )
        return await self._place_dockerfile(source)

    async def _open_source(self, source: MainContext) -> BuildRequest:
        if source.upload:
            folder = await self._until.enter_async_context(self._uploads.taken(source.upload))
            return await in_thread(self._inside, folder)
        if source.is_empty:
            return replace(self._request, context=await self._new_folder("empty"))
        remote = read_address(source.address) if source.address else None
        if remote is None:
            return self._request
        if isinstance(remote, GitSource):
            keep = self._request.options.build_args.get(KEEP_GIT_ARG, "").lower() in ("1", "true")
            remote = msgspec.structs.replace(remote, keep_git_dir=keep or remote.keep_git_dir)
            return await in_thread(self._inside, await self._fetching.check_out(remote))
        return await self._open_url(remote)

    async def _open_url(self, source: HttpSource) -> BuildRequest:
        """A URL is a tar, or else a Dockerfile that needs no context. Source: docker build, remote contexts."""
        folder = await self._fetch_tar(source)
        if folder is not None:
            return await in_thread(self._inside, folder)
        dockerfile = await self._place_dockerfile(source)
        return replace(self._request, context=await self._new_folder("empty"), dockerfile=dockerfile)

    async def _place_dockerfile(self, source: HttpSource) -> Path:
        kept = await self._fetching.fetch(source)
        if kept.size > DOCKERFILE_MAX_BYTES:
            raise UserError(
                f"{hide_secrets(source.url)} is neither a tar nor a Dockerfile", "is the address right?"
            )
        return await self._fetching.folder_of(kept, "Dockerfile") / "Dockerfile"

    def _inside(self, folder: Path) -> BuildRequest:
        """Return the request with a folder that came from elsewhere, and the Dockerfile in it."""
        path = Path(resolve_inside(str(folder), str(self._request.dockerfile) or "Dockerfile"))
        return replace(self._request, context=folder, dockerfile=path)

    # --- named contexts ------------------------------------------------------------------------------------------------

    async def find_named(self, dockerfile: str) -> NamedContexts:
        """Return what the names of contexts mean to the plan. Images out of layouts are brought in if they may be needed.

        Raises: UserError, HostError.
        """
        found = []
        for flag in self._flags.values():
            image = flag.value if flag.kind == "image" else ""
            if flag.kind == "layout":
                image = (
                    await self._load_layout(flag) if flag.name.lower() in dockerfile.lower() else flag.value
                )
            elif flag.kind == "folder" and not await in_thread(Path(flag.value).is_dir):
                raise UserError(
                    f"--build-context {flag.name}: path {flag.value!r} is not a folder",
                    f"--build-context {flag.name}=FOLDER",
                )
            found.append(NamedContext(flag.name, image))
        return NamedContexts(tuple(found))

    async def folder(self, name: str) -> Folder:
        """Return the folder of a named context; it is fetched when it is first asked for. Raises: UserError, HostError."""
        flag = self._flags[name]
        async with self._locks.hold(name):
            if name not in self._folders:
                try:
                    self._folders[name] = await self._open_named(flag)
                except UserError as error:
                    raise UserError(f"--build-context {name}: {error.message}", error.hint) from None
            return self._folders[name]

    async def _open_named(self, flag: ContextFlag) -> Folder:
        what = f"the context {flag.name!r}"
        if flag.remote is None:
            path = Path(flag.value)
            ignore = await in_thread(_read_ignore, path, is_ours=False)
            return Folder(path, what, ignore, known=str(memory_path(self._files, path)))
        path = await self._fetch_named(flag.remote)
        return Folder(path, what, await in_thread(_read_ignore, path, is_ours=True), is_fixed=True)

    async def _fetch_named(self, source: RemoteSource) -> Path:
        if isinstance(source, GitSource):
            return await self._fetching.check_out(source)
        folder = await self._fetch_tar(source)
        if folder is None:
            raise UserError(
                f"{hide_secrets(source.url)} is no tar", "a context is a tar, packed or not, or a repository"
            )
        return folder

    async def _fetch_tar(self, source: HttpSource) -> Path | None:
        """Return the folder with what is in a tar behind a URL, None when it is something else."""
        kept = await self._fetching.fetch(source)
        archive = await self._fetching.folder_of(kept, "archive") / "archive"
        if not await in_thread(is_archive, str(archive)):
            return None
        target = await self._new_folder("unpacked")
        await self._images.workers.call(
            unpack_context, UnpackContextJob(source=str(archive), target=str(target))
        )
        return target

    async def _load_layout(self, flag: ContextFlag) -> str:
        """Bring an image in from a layout; return its id. It has no name, and goes when the build ends."""
        target = await self._new_folder("layout") / "image.tar"
        architecture = self._request.options.architecture
        job = LayoutJob(value=flag.value, target=str(target), architecture=architecture)
        await self._images.workers.call(pack_layout, job)
        before = {image.id for image in self._images.list()}
        (image,) = await self._images.load(target)
        await in_thread(target.unlink)
        if image.id not in before:
            self._until.push_async_callback(self._drop, image.id)
        return image.id

    async def _drop(self, image_id: str) -> None:
        image = self._images.resolve(image_id)
        if image is not None and not image.references:
            try:
                await self._images.remove(image_id)
            except PinnaceError:
                return  # somebody uses it: it is no leftover then

    async def _new_folder(self, name: str) -> Path:
        number = 0
        while True:
            path = self._work / f"{name}-{number}"
            try:
                await in_thread(path.mkdir)
                return path
            except FileExistsError:
                number += 1


def _write(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)


def _read_ignore(folder: Path, *, is_ours: bool) -> str:
    """Return the text of a context's own ignore file; a fetched one can't be a link to a file outside. Raises: UserError."""
    path = Path(resolve_inside(str(folder), IGNORE_FILE)) if is_ours else folder / IGNORE_FILE
    if not path.is_file():
        return ""
    text = decode_source(path.read_bytes(), path.name, "the ignore file")
    parse_ignore(text, str(path.name))
    return text

"""Routes about containers and volumes. Edges only: what they mean is decided in `engine/`."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from pinnace.base import frames
from pinnace.base.errors import ApiError, Reason, UserError
from pinnace.container.logs import LogOptions
from pinnace.engine.engine import Engine
from pinnace.engine.lives import Size, Started
from pinnace.engine.merge import parse_signal
from pinnace.engine.queries import Queries
from pinnace.engine.request import parse_exec, parse_run
from pinnace.kube.objects.pinnace_v1 import Volume, VolumeSpec
from pinnace.ownapi.router import Route, read_json, render_json
from pinnace.ownapi.sessions import Session, serve_session

Values = dict[str, str]


def container_routes(engine: Engine, queries: Queries) -> list[Route]:
    """Return the rows."""
    return [*_life_routes(engine, queries), *_session_routes(engine, queries), *_volume_routes(engine)]


def _life_routes(engine: Engine, queries: Queries) -> list[Route]:
    async def list_containers(request: web.BaseRequest, values: Values) -> web.StreamResponse:
        query = request.rel_url.query
        rows = queries.list(all_states=query.get("all") == "1", filters=query.getall("filter", []))
        return render_json({"containers": rows})

    async def create(request: web.BaseRequest, values: Values) -> web.StreamResponse:
        wanted = parse_run(await request.read())
        if request.rel_url.query.get("start") == "1":
            started = await engine.carry(engine.run(wanted, attach=False))
            return _answer(started)
        entry, warnings = await engine.carry(engine.create(wanted))
        return _answer(Started(entry, None, warnings))

    async def inspect(request: web.BaseRequest, values: Values) -> web.StreamResponse:
        return render_json(queries.inspect(values["name"]))

    async def remove(request: web.BaseRequest, values: Values) -> web.StreamResponse:
        query = request.rel_url.query
        await engine.carry(
            engine.remove(
                values["name"], force=query.get("force") == "1", volumes=query.get("volumes") == "1"
            )
        )
        return render_json({})

    async def start(request: web.BaseRequest, values: Values) -> web.StreamResponse:
        return _answer(await engine.carry(engine.start_container(values["name"])))

    async def stop(request: web.BaseRequest, values: Values) -> web.StreamResponse:
        await engine.carry(engine.stop(values["name"], grace_s=_number(request, "time")))
        return render_json({})

    async def restart(request: web.BaseRequest, values: Values) -> web.StreamResponse:
        await engine.carry(engine.restart(values["name"], grace_s=_number(request, "time")))
        return render_json({})

    async def kill(request: web.BaseRequest, values: Values) -> web.StreamResponse:
        engine.kill(values["name"], parse_signal(request.rel_url.query.get("signal") or "KILL"))
        return render_json({})

    async def wait(request: web.BaseRequest, values: Values) -> web.StreamResponse:
        condition = request.rel_url.query.get("condition", "not-running")
        return render_json({"code": await engine.wait(values["name"], condition)})

    return [
        Route("GET", "/containers", list_containers),
        Route("POST", "/containers", create),
        Route("GET", "/containers/{name}", inspect),
        Route("DELETE", "/containers/{name}", remove),
        Route("POST", "/containers/{name}/start", start),
        Route("POST", "/containers/{name}/stop", stop),
        Route("POST", "/containers/{name}/restart", restart),
        Route("POST", "/containers/{name}/kill", kill),
        Route("POST", "/containers/{name}/wait", wait),
    ]


def _session_routes(engine: Engine, queries: Queries) -> list[Route]:
    async def stay(session: Session, started: Started) -> int:
        """Carry a started container's stdio until it ends; return its exit code, once it is removed if it is to be."""
        entry, attachment, ended = started.entry, started.attachment, started.entry.ended
        assert attachment is not None
        await session.send_json(frames.STARTED, {"id": entry.id, "warnings": started.warnings})
        try:
            await session.pump(
                attachment,
                lambda number: engine.kill(entry.id, number),
                (lambda given: queries.read_rest(entry, given)) if started.first else None,
            )
        finally:
            await started.close()
        await (entry.gone if entry.spec.auto_remove else ended).wait()
        return entry.status.exit_code

    async def run(request: web.BaseRequest, values: Values) -> web.StreamResponse:
        async def serve(session: Session, data: bytes) -> int:
            started = await engine.carry(engine.run(parse_run(data), attach=True, size=_size(request)))
            return await stay(session, started)

        return await serve_session(request, serve)

    async def attach(request: web.BaseRequest, values: Values) -> web.StreamResponse:
        """Attach; with `start=1` start it first."""

        async def serve(session: Session, data: bytes) -> int:
            if request.rel_url.query.get("start") == "1":
                call = engine.start_container(values["name"], attach=True, size=_size(request))
                return await stay(session, await engine.carry(call))
            started = engine.attach(queries.find_running(values["name"], "attach to"))
            if started.attachment is not None and (size := _size(request)):
                started.attachment.resize(size.height, size.width)
            return await stay(session, started)

        return await serve_session(request, serve)

    async def execute(request: web.BaseRequest, values: Values) -> web.StreamResponse:
        async def serve(session: Session, data: bytes) -> int:
            wanted = parse_exec(data)
            process = await queries.exec(values["name"], wanted)
            try:
                if (size := _size(request)) and wanted.tty:
                    process.resize(size.height, size.width)
                given = await session.pump(process, lambda number: None, None)
                code = await process.wait()
                if process.failure and not given:
                    await session.send(
                        frames.STDERR, f"OCI runtime exec failed: {process.failure}\n".encode()
                    )
                return code
            finally:
                await process.close()

        return await serve_session(request, serve)

    async def logs(request: web.BaseRequest, values: Values) -> web.StreamResponse:
        query = request.rel_url.query
        options = LogOptions(
            follow=query.get("follow") == "1",
            tail=int(query["tail"]) if query.get("tail", "").isdecimal() else None,
            since=_number(request, "since"),
            until=_number(request, "until"),
            timestamps=query.get("timestamps") == "1",
        )

        chunks = queries.logs(values["name"], options)  # an unknown name is told as an error of HTTP

        async def serve(session: Session, data: bytes) -> int:
            async for chunk in chunks:
                await session.send(frames.STDOUT if chunk.stream == "stdout" else frames.STDERR, chunk.data)
            return 0

        return await serve_session(request, serve)

    return [
        Route("POST", "/run", run),
        Route("POST", "/containers/{name}/attach", attach),
        Route("POST", "/containers/{name}/exec", execute),
        Route("POST", "/containers/{name}/logs", logs),
    ]


def _volume_routes(engine: Engine) -> list[Route]:
    def describe(volume: Volume) -> dict[str, Any]:
        return {
            "Name": volume.spec.name,
            "Driver": "local",
            "Mountpoint": str(engine.volumes.path(volume.spec.name)),
            "Labels": volume.spec.labels or None,
            "Scope": "local",
            "CreatedAt": volume.metadata.creation_timestamp,
            "Options": None,
        }

    async def list_volumes(request: web.BaseRequest, values: Values) -> web.StreamResponse:
        return render_json({"volumes": [describe(volume) for volume in engine.volumes.list()]})

    async def create_volume(request: web.BaseRequest, values: Values) -> web.StreamResponse:
        body = await read_json(request)
        name = body.get("name") or engine.volumes.name_anonymous()
        labels = body.get("labels") or {}
        if not isinstance(name, str) or not isinstance(labels, dict):
            raise UserError("name is a text and labels an object", 'such as {"name": "data"}')
        return render_json(
            describe(await engine.carry(engine.volumes.ensure(VolumeSpec(name=name, labels=labels))))
        )

    async def inspect_volume(request: web.BaseRequest, values: Values) -> web.StreamResponse:
        return render_json(describe(engine.volumes.get(values["name"])))

    async def remove_volume(request: web.BaseRequest, values: Values) -> web.StreamResponse:
        users = engine.users_of_volume(values["name"])
        await engine.carry(engine.volumes.remove(values["name"], users))
        return render_json({})

    return [
        Route("GET", "/volumes", list_volumes),
        Route("POST", "/volumes", create_volume),
        Route("GET", "/volumes/{name}", inspect_volume),
        Route("DELETE", "/volumes/{name}", remove_volume),
    ]


def _answer(started: Started) -> web.Response:
    entry = started.entry
    return render_json({"id": entry.id, "name": entry.spec.name, "warnings": list(started.warnings)})


def _size(request: web.BaseRequest) -> Size | None:
    query = request.rel_url.query
    height, width = query.get("height", ""), query.get("width", "")
    return Size(int(height), int(width)) if height.isdecimal() and width.isdecimal() else None


def _number(request: web.BaseRequest, name: str) -> float | None:
    text = request.rel_url.query.get(name)
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        raise ApiError(Reason.BAD_REQUEST, f"{name} is not a number: {text!r}") from None

"""Objects of our own group, pinnace.dev/v1, as values: what the engine and the image store keep beside Kubernetes' objects.

Written by hand, in the manner of the generated modules (see the package's head).
"""

from msgspec import Struct
from msgspec import field as _field

from pinnace.kube.objects import meta_v1
from pinnace.kube.objects.shared import shared


class ImageSpec(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """`reference` is whole (docker.io/library/a:v1), or the image's id for an image without a name."""

    reference: str = _field(default_factory=str)
    image_id: str = _field(default_factory=str, name="imageID")
    manifest: str = ""
    digest: str = ""


class Image(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """One name of one image in the store."""

    api_version: str = _field(default_factory=lambda: "pinnace.dev/v1")
    kind: str = _field(default_factory=lambda: "Image")
    metadata: meta_v1.ObjectMeta = _field(default_factory=shared(meta_v1.ObjectMeta))
    spec: ImageSpec = _field(default_factory=shared(ImageSpec))


class PortBinding(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """A port of a container on the host; `host_port` 0 lets the kernel choose, `host_ip` "" is every address."""

    container_port: int = 0
    protocol: str = "tcp"
    host_ip: str = _field(default_factory=str, name="hostIP")
    host_port: int = 0


class ContainerMount(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """A mount of a container. `type` is "bind" (`source` is a path), "volume" (`source` is its name) or "tmpfs"."""

    type: str = "bind"
    source: str = ""
    target: str = ""
    read_only: bool = False
    options: tuple[str, ...] = ()


class RestartPolicy(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """When a container is started again: "no", "on-failure", "always", "unless-stopped"; 0 retries means without end."""

    name: str = "no"
    maximum_retry_count: int = 0


class ContainerLimits(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """Docker's limits. Units: bytes; CPU in thousandths of a core; 0 is no limit (for swap also -1)."""

    memory_bytes: int = 0
    memory_swap_bytes: int = 0
    memory_reservation_bytes: int = 0
    shm_bytes: int = 0
    cpu_milli: int = 0
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    pids: int = 0


class HealthProbe(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """How a container's health is checked. Units: nanoseconds; 0 is Docker's default.

    `test` is ("CMD", …), ("CMD-SHELL", command) or ("NONE",); `shell` is the image's, () for the usual one.
    """

    test: tuple[str, ...] = ()
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0
    shell: tuple[str, ...] = ()


class ContainerSpec(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """What `run` asked for, put together with the image's configuration. `image` is the name that was asked for."""

    name: str = ""
    image: str = ""
    image_id: str = _field(default_factory=str, name="imageID")
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    hostname: str = ""
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    stop_signal: str = ""
    stop_timeout_s: int | None = None
    network: str = "bridge"
    ports: tuple[PortBinding, ...] = ()
    exposed: tuple[str, ...] = ()
    mounts: tuple[ContainerMount, ...] = ()
    hosts: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    limits: ContainerLimits = _field(default_factory=shared(ContainerLimits))
    ulimits: tuple[str, ...] = ()
    sysctls: dict[str, str] = {}
    restart: RestartPolicy = _field(default_factory=shared(RestartPolicy))
    auto_remove: bool = False
    privileged: bool = False
    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    security: tuple[str, ...] = ()
    read_only: bool = False
    host_pid: bool = _field(default=False, name="hostPID")
    host_ipc: bool = _field(default=False, name="hostIPC")
    health: HealthProbe | None = None


class ContainerStatus(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """What a container is: "created", "running", "restarting", "exited" or "removing".

    `stopped` says that a person has ended it, so that `unless-stopped` leaves it alone. `failures` counts the restarts
    since it last ran well, for the back-off. `starting`: `run` is at it; a daemon that finds it so has a predecessor that
    died meanwhile. `health` is "starting", "healthy" or "unhealthy", "" where nothing is checked; `failed_checks` are in a row.
    """

    state: str = "created"
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = _field(default=False, name="oomKilled")
    started_at: str = ""
    finished_at: str = ""
    restart_count: int = 0
    failures: int = 0
    stopped: bool = False
    starting: bool = False
    ip: str = _field(default_factory=str, name="ip")
    gateway: str = ""
    mac: str = ""
    ports: tuple[PortBinding, ...] = ()
    health: str = ""
    failed_checks: int = 0


class Container(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """A container of `pinnace run`. Its object's name is its id: 64 hexadecimal digits."""

    api_version: str = _field(default_factory=lambda: "pinnace.dev/v1")
    kind: str = _field(default_factory=lambda: "Container")
    metadata: meta_v1.ObjectMeta = _field(default_factory=shared(meta_v1.ObjectMeta))
    spec: ContainerSpec = _field(default_factory=shared(ContainerSpec))
    status: ContainerStatus = _field(default_factory=shared(ContainerStatus))


class VolumeSpec(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """`name` is what people call it; `anonymous` ones go with their container."""

    name: str = ""
    labels: dict[str, str] = {}
    anonymous: bool = False


class Volume(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """A named volume; its files are below the state dir, in volumes/NAME/_data."""

    api_version: str = _field(default_factory=lambda: "pinnace.dev/v1")
    kind: str = _field(default_factory=lambda: "Volume")
    metadata: meta_v1.ObjectMeta = _field(default_factory=shared(meta_v1.ObjectMeta))
    spec: VolumeSpec = _field(default_factory=shared(VolumeSpec))

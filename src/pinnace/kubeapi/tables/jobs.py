"""The table of Jobs. Source: Kubernetes v1.36, pkg/printers/internalversion/printers.go, printJob."""

from pinnace.base.times import parse_time
from pinnace.kube.objects.batch_v1 import Job
from pinnace.kubeapi.durations import render_duration
from pinnace.kubeapi.tables.columns import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    SELECTOR,
    Cell,
    Column,
    Table,
    render_containers,
    render_selector,
    render_since,
)

# The first true condition is the word that is shown; a deletion comes after the first two.
_ENDED = ("Complete", "Failed")
_OTHERS = ("Suspended", "FailureTarget", "SuccessCriteriaMet")


def render_status(job: Job) -> str:
    """Return one word: Complete, Failed, Terminating, Suspended, FailureTarget, SuccessCriteriaMet or Running."""
    true = {condition.type for condition in job.status.conditions if condition.status == "True"}
    for name in _ENDED:
        if name in true:
            return name
    if job.metadata.deletion_timestamp:
        return "Terminating"
    return next((name for name in _OTHERS if name in true), "Running")


def render_completions(job: Job) -> str:
    """Return how many pods have succeeded. Example: "2/5", "0/1 of 3" where any one of three is enough."""
    succeeded, spec = job.status.succeeded or 0, job.spec
    if spec.completions is not None:
        return f"{succeeded}/{spec.completions}"
    return f"{succeeded}/1 of {spec.parallelism}" if (spec.parallelism or 0) > 1 else f"{succeeded}/1"


def render_run(job: Job, now: float) -> str:
    """Return how long the Job has run, or took; "" before its start."""
    status = job.status
    if not status.start_time:
        return ""
    end = parse_time(status.completion_time) if status.completion_time else now
    return render_duration(end - parse_time(status.start_time))


def _cells(job: Job, now: float) -> tuple[Cell, ...]:
    return (
        job.metadata.name,
        render_status(job),
        render_completions(job),
        render_run(job, now),
        render_since(job.metadata.creation_timestamp, now),
        *render_containers(job.spec.template.spec.containers),
        render_selector(job.spec.selector),
    )


TABLE = Table(
    columns=(
        NAME,
        Column("Status", "What has become of the Job."),
        Column("Completions", "How many pods have succeeded, of those that must."),
        Column("Duration", "How long the Job has run."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    cells=_cells,
)

"""The table of CronJobs. Source: Kubernetes v1.36, pkg/printers/internalversion/printers.go, printCronJob."""

from pinnace.kube.objects.batch_v1 import CronJob
from pinnace.kubeapi.tables.columns import (
    AGE,
    CONTAINERS,
    IMAGES,
    NAME,
    NONE,
    SELECTOR,
    UNSET,
    Cell,
    Column,
    Table,
    render_containers,
    render_selector,
    render_since,
)


def _cells(cron_job: CronJob, now: float) -> tuple[Cell, ...]:
    spec, status = cron_job.spec, cron_job.status
    job = spec.job_template.spec
    return (
        cron_job.metadata.name,
        spec.schedule,
        spec.time_zone or NONE,
        UNSET if spec.suspend is None else str(spec.suspend),
        len(status.active),
        render_since(status.last_schedule_time, now) if status.last_schedule_time else NONE,
        render_since(cron_job.metadata.creation_timestamp, now),
        *render_containers(job.template.spec.containers),
        render_selector(job.selector),
    )


TABLE = Table(
    columns=(
        NAME,
        Column("Schedule", "When Jobs are made."),
        Column("Timezone", "Whose clock the schedule means."),
        Column("Suspend", "Whether no Jobs are made for now.", type="boolean"),
        Column("Active", "How many of the Jobs run.", type="integer"),
        Column("Last Schedule", "How long ago a Job was made."),
        AGE,
        CONTAINERS,
        IMAGES,
        SELECTOR,
    ),
    cells=_cells,
)

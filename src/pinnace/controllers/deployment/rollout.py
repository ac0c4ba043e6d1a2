"""Decides what a deployment needs next: which ReplicaSets to make, size, annotate or delete, and its status.

Pure: facts and `now` in, a plan out. Never reads a clock, a store or a log.
Invariants of a rolling update: wanted pods of all sets <= replicas + maxSurge (unless someone else scaled a set), and no step
takes an available pod away when that would leave fewer than replicas - maxUnavailable.
Source: Kubernetes v1.36, pkg/controller/deployment (deployment_controller.go, sync.go, rolling.go, recreate.go).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from pinnace.controllers.deployment import counts, revisions, status
from pinnace.controllers.deployment.counts import replicas_of
from pinnace.controllers.owners import compute_claims
from pinnace.controllers.plan import Change, Create, Delete, Plan, Record, SetStatus, Step
from pinnace.controllers.pods import is_ended
from pinnace.kube.objects.apps_v1 import Deployment, DeploymentStatus, ReplicaSet
from pinnace.kube.objects.core_v1 import Pod
from pinnace.kube.selectors import selector_of


@dataclass(frozen=True, slots=True)
class DeploymentFacts:
    """One deployment and its world. `replica_sets`: all of its namespace. `pods`: those of its own sets, by the set's uid
    (asked only for the strategy Recreate)."""

    deployment: Deployment
    replica_sets: tuple[ReplicaSet, ...] = ()
    pods: Callable[[str], Sequence[Pod]] = lambda uid: ()


def reconcile_deployment(facts: DeploymentFacts, now: float) -> Plan:
    """Return the next steps for one deployment; the changes that they make bring the next call."""
    deployment = facts.deployment
    selector = deployment.spec.selector
    if selector is None or not (selector.match_labels or selector.match_expressions):
        text = "This deployment is selecting all pods. A non-empty selector is required."
        return Plan((Record(deployment, "Warning", "SelectingAll", text),))
    claims = compute_claims(deployment, facts.replica_sets, selector_of(selector).matches)
    claiming = (
        *(Change(before, after, "adopt") for before, after in claims.adopt),
        *(Change(before, after, "release: its labels no longer match") for before, after in claims.release),
    )
    if claiming:
        return Plan(claiming, requeue_after_s=0.0)
    return _Draft(deployment, claims.owned, now).decide(facts)


class _Draft:
    """The world as it will be when the plan is done, and the steps that lead there. Lives for one decision."""

    def __init__(self, deployment: Deployment, owned: Sequence[ReplicaSet], now: float) -> None:
        self.deployment = deployment
        self.now = now
        self.status: DeploymentStatus = deployment.status
        self.sets: dict[str, ReplicaSet] = {one.metadata.name: one for one in owned}
        current = revisions.find_current(deployment, owned)
        self.current_name = None if current is None else current.metadata.name
        self.steps: list[Step] = []
        self.requeue_after_s: float | None = None

    # ------------------------------------------------------------------ the draft's world

    @property
    def current(self) -> ReplicaSet | None:
        return None if self.current_name is None else self.sets[self.current_name]

    @property
    def old(self) -> list[ReplicaSet]:
        return revisions.by_age(one for name, one in self.sets.items() if name != self.current_name)

    @property
    def all(self) -> list[ReplicaSet]:
        return list(self.sets.values())

    @property
    def active(self) -> list[ReplicaSet]:
        return [one for one in self.all if replicas_of(one) > 0]

    # ------------------------------------------------------------------ the decision

    def decide(self, facts: DeploymentFacts) -> Plan:
        if self.deployment.metadata.deletion_timestamp:
            self._refresh_status(rollout=False)
            return self._plan()
        self.status = status.mark_paused(self.deployment, self.now)
        self._annotate_current()
        if self.deployment.spec.paused or self._was_resized():
            self._resize()
            if self.deployment.spec.paused:
                self._clean_up()
            self._refresh_status(rollout=False)
        elif counts.is_rolling(self.deployment):
            self._roll(facts)
        else:
            self._recreate(facts)
        return self._plan()

    def _plan(self) -> Plan:
        if self.status != self.deployment.status:
            self.steps.append(SetStatus(self.deployment, self.status))
        return Plan(tuple(self.steps), self.requeue_after_s)

    def _refresh_status(self, *, rollout: bool) -> None:
        before = self.deployment.status
        self.status = status.compute_counts(self.deployment, self.status, self.all, self.current, self.now)
        if rollout:
            self.status = status.judge_progress(self.deployment, before, self.status, self.current, self.now)
            self.status = status.carry_failure(self.status, self.all, self.current)
            self.requeue_after_s = status.seconds_until_deadline(self.deployment, self.status, self.now)

    # ------------------------------------------------------------------ the current set and its revision

    def _next_revision(self) -> int:
        return 1 + max((revisions.revision_of(one) for one in self.old), default=0)

    def _annotate_current(self) -> None:
        current = self.current
        if current is None:
            return
        after = revisions.annotate(self.deployment, current, self._next_revision())
        min_ready = self.deployment.spec.min_ready_seconds
        if after.spec.min_ready_seconds != min_ready:
            after = msgspec.structs.replace(
                after, spec=msgspec.structs.replace(after.spec, min_ready_seconds=min_ready)
            )
        self._change(current, after, "revision, annotations and minReadySeconds of the deployment")
        self._set_revision(revisions.revision_of(after))
        if (
            status.deadline_of(self.deployment) is not None
            and status.find_condition(self.status, "Progressing") is None
        ):
            text = f'Found new replica set "{current.metadata.name}"'
            condition = status.new_condition("Progressing", "True", status.NEW_FOUND, text, self.now)
            self.status = status.set_condition(self.status, condition)

    def _set_revision(self, revision: int) -> None:
        before = self.deployment
        if before.metadata.annotations.get(revisions.REVISION) == str(revision):
            return
        annotations = {**before.metadata.annotations, revisions.REVISION: str(revision)}
        after = msgspec.structs.replace(
            before, metadata=msgspec.structs.replace(before.metadata, annotations=annotations)
        )
        self.steps.append(Change(before, after, f"revision {revision}", "status"))
        self.deployment = after

    def _ensure_current(self, taken: Mapping[str, ReplicaSet]) -> bool:
        """Plan to create the current set if there is none; say whether there is one then (False: its name is taken)."""
        if self.current is not None:
            return True
        template_hash = revisions.compute_template_hash(
            self.deployment.spec.template, self.status.collision_count
        )
        revision = self._next_revision()
        size = counts.compute_new_size(self.deployment, self.all, 0)
        new = revisions.build_replica_set(self.deployment, template_hash, revision, size)
        name = new.metadata.name
        if name in taken:
            # Two templates with one hash, or somebody else's set: count it, which changes the hash, and come again.
            self.status = msgspec.structs.replace(
                self.status, collision_count=(self.status.collision_count or 0) + 1
            )
            self.requeue_after_s = 0.0
            return False
        self.sets[name] = new
        self.current_name = name
        self.steps.append(Create(new))
        if size > 0:
            self._tell_scaled(name, 0, size)
        self._set_revision(revision)
        if status.deadline_of(self.deployment) is not None:
            text = f'Created new replica set "{name}"'
            condition = status.new_condition("Progressing", "True", status.NEW_CREATED, text, self.now)
            self.status = status.set_condition(self.status, condition)
        return True

    # ------------------------------------------------------------------ resizing outside of a rollout

    def _was_resized(self) -> bool:
        wanted = replicas_of(self.deployment)
        sized_for = (counts.read_number(one, counts.DESIRED_REPLICAS_ANNOTATION) for one in self.active)
        return any(number is not None and number != wanted for number in sized_for)

    def _resize(self) -> None:
        only = self._active_or_latest()
        if only is not None:
            if replicas_of(only) != replicas_of(self.deployment):
                self._scale(only, replicas_of(self.deployment))
        elif counts.is_saturated(self.deployment, self.current):
            for one in self.old:
                self._scale(one, 0)
        elif counts.is_rolling(self.deployment):
            self._resize_in_proportion()

    def _active_or_latest(self) -> ReplicaSet | None:
        active = self.active
        if len(active) > 1:
            return None
        if active:
            return active[0]
        return self.current or next(reversed(self.old), None)

    def _resize_in_proportion(self) -> None:
        wanted = replicas_of(self.deployment)
        allowed = counts.max_pods(self.deployment) if wanted > 0 else 0
        to_add = allowed - counts.sum_replicas(self.active)
        ordered = sorted(self.active, key=revisions.revision_of, reverse=to_add > 0)
        ordered.sort(
            key=replicas_of, reverse=True
        )  # stable: of equal sizes the newer grows, the older shrinks first
        sizes: dict[str, int] = {}
        added = 0
        for one in ordered:
            part = counts.compute_proportion(one, self.deployment, to_add, added)
            sizes[one.metadata.name] = replicas_of(one) + part
            added += part
        for number, one in enumerate(ordered):
            leftover = to_add - added if number == 0 else 0
            self._scale(one, max(0, sizes[one.metadata.name] + leftover))

    # ------------------------------------------------------------------ strategies

    def _roll(self, facts: DeploymentFacts) -> None:
        taken = {one.metadata.name: one for one in facts.replica_sets}
        if not self._ensure_current(taken):
            return
        scaled = self._grow_current() or self._shrink_old()
        if not scaled and status.is_complete(self.deployment, self.deployment.status):
            self._clean_up()
        self._refresh_status(rollout=True)

    def _grow_current(self) -> bool:
        current = self.current
        assert current is not None
        size, wanted = replicas_of(current), replicas_of(self.deployment)
        if size == wanted:
            return False
        return self._scale(
            current, wanted if size > wanted else counts.compute_new_size(self.deployment, self.all, size)
        )

    def _shrink_old(self) -> bool:
        current = self.current
        assert current is not None
        old = [one for one in self.old if replicas_of(one) > 0]
        least = counts.min_available(self.deployment)
        new_unavailable = replicas_of(current) - counts.available_of(current)
        room = counts.sum_replicas(self.all) - least - new_unavailable
        if not old or room <= 0:
            return False
        cleaned = self._drop_unhealthy(old, room)
        spare = sum(counts.available_of(one) for one in self.all) - least
        return self._drop_available(spare) or cleaned

    def _drop_unhealthy(self, old: Sequence[ReplicaSet], room: int) -> bool:
        dropped = 0
        for one in old:
            count = min(room - dropped, replicas_of(one) - counts.available_of(one))
            if count > 0:
                self._scale(one, replicas_of(one) - count)
                dropped += count
        return dropped > 0

    def _drop_available(self, spare: int) -> bool:
        dropped = 0
        for one in self.old:
            count = min(spare - dropped, replicas_of(one))
            if count > 0:
                self._scale(one, replicas_of(one) - count)
                dropped += count
        return dropped > 0

    def _recreate(self, facts: DeploymentFacts) -> None:
        old_active = [one for one in self.old if replicas_of(one) > 0]
        for one in old_active:
            self._scale(one, 0)
        if not old_active and not any(
            not is_ended(pod) for one in self.old for pod in facts.pods(one.metadata.uid)
        ):
            taken = {one.metadata.name: one for one in facts.replica_sets}
            if not self._ensure_current(taken):
                return
            current = self.current
            assert current is not None
            self._scale(current, replicas_of(self.deployment))
            if status.is_complete(self.deployment, self.deployment.status):
                self._clean_up()
        self._refresh_status(rollout=True)

    # ------------------------------------------------------------------ steps

    def _clean_up(self) -> None:
        limit = self.deployment.spec.revision_history_limit
        if limit is None:
            return
        old = sorted(
            (one for one in self.old if not one.metadata.deletion_timestamp), key=revisions.revision_of
        )
        for one in old[: max(0, len(old) - limit)]:
            seen = (one.status.observed_generation or 0) >= (one.metadata.generation or 0)
            if seen and replicas_of(one) == 0 and not one.status.replicas:
                self.steps.append(
                    Delete(one, "older than the revision history limit", propagation="Background")
                )
                del self.sets[one.metadata.name]

    def _scale(self, one: ReplicaSet, size: int) -> bool:
        """Plan another size for one set, and the deployment's size with it; say whether the set's size changes."""
        before = replicas_of(one)
        self._change(one, revisions.with_replicas(one, self.deployment, size), f"replicas {before} -> {size}")
        if before != size:
            self._tell_scaled(one.metadata.name, before, size)
        return before != size

    def _tell_scaled(self, name: str, before: int, size: int) -> None:
        word = "up" if size > before else "down"
        text = f"Scaled {word} replica set {name} from {before} to {size}"
        self.steps.append(Record(self.deployment, "Normal", "ScalingReplicaSet", text))

    def _change(self, before: ReplicaSet, after: ReplicaSet, why: str) -> None:
        if after != before:
            self.steps.append(Change(before, after, why))
            self.sets[before.metadata.name] = after

"""Containers that wait for their images: pulls begin, end, back off, and are given up; and what is told of all that. A doer.

The agent's part about images: it asks for the image of a start, and hands over what may end a wait (an image, a Secret).
Invariant: facts say that a container is `pulling` exactly while one of `Pulls` is at it.
Source: Kubernetes v1.34, pkg/kubelet/images/image_manager.go (reasons, events and their words).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pinnace.base.clock import Clock
from pinnace.base.tasks import Tasks
from pinnace.kube.objects.core_v1 import Container, Pod
from pinnace.node.book import PodBook
from pinnace.node.facts import ContainerFacts, PodImage, every_container
from pinnace.node.lifecycle import PULL_BACKOFF, PULL_ERROR
from pinnace.node.machine import PodImages, StartFailure
from pinnace.node.pulls import Pulls
from pinnace.node.sources import lacks_image, wants_image

# What the Failed event of a reason is called instead. Source: pkg/kubelet/events and pkg/kubelet/images.
FAILURE_EVENTS = {"InvalidImageName": "InspectFailed", "ErrImageNeverPull": "ErrImageNeverPull"}

TellOf = Callable[[Pod, Container, str, str, str], None]  # an event about a container: type, reason, message


class ImageWaits:
    """The waits of one node. `wake` is called with a pod's uid when it can go on, or has something to show."""

    def __init__(
        self,
        book: PodBook,
        images: PodImages,
        clock: Clock,
        tasks: Tasks,
        tell: TellOf,
        wake: Callable[[str], None],
    ) -> None:
        self._book = book
        self._images = images
        self._clock = clock
        self._tell = tell
        self._wake = wake
        self._pulls = Pulls(images, tasks, tell, self._pulled)

    def get(self, pod: Pod, container: Container, attempt: int) -> PodImage | None:
        """Return the image for a start; None when a pull has begun, after which the pod is woken. Raises: StartFailure."""
        uid, name = pod.metadata.uid, container.name
        image = self._book.facts[uid].container(name).image or self._images.find(container)
        if image is None:
            self._book.change_container(uid, name, lambda c: replace(c, pulling=True))
            self._pulls.ensure(pod, container, attempt)
        return image

    def cancel(self, uid: str) -> None:
        """The pod starts nothing any more."""
        self._pulls.cancel(uid)

    def fail(self, pod: Pod, container: Container, failure: StartFailure) -> None:
        """Note, and tell, why a container can't start now."""
        self._book.stumbled(
            pod.metadata.uid, container.name, failure.reason, failure.message, self._clock.now()
        )
        if failure.reason == PULL_ERROR:
            words = f'Failed to pull image "{container.image}": {failure.message}'
            self._tell(pod, container, "Warning", "Failed", words)
            self._tell(pod, container, "Warning", "Failed", f"Error: {PULL_ERROR}")
        elif failure.reason in FAILURE_EVENTS:
            self._tell(pod, container, "Warning", FAILURE_EVENTS[failure.reason], failure.message)
            self._tell(pod, container, "Warning", "Failed", f"Error: {failure.reason}")
        else:
            words = f"Error: {failure.message}" if failure.reason.startswith("Create") else failure.message
            self._tell(pod, container, "Warning", "Failed", words)

    def back_off(self, pod: Pod, container: Container) -> None:
        """A failed pull is not tried again for a while, and is told of as that from now on."""
        back_off = f'Back-off pulling image "{container.image}"'
        self._tell(pod, container, "Normal", "BackOff", back_off)
        self._tell(pod, container, "Warning", "Failed", f"Error: {PULL_BACKOFF}")

        def wait(known: ContainerFacts) -> ContainerFacts:
            problem = known.problem
            if problem is None:
                return known
            message = f"{back_off}: {PULL_ERROR}: {problem.message}"
            return replace(known, problem=replace(problem, reason=PULL_BACKOFF, message=message))

        self._book.change_container(pod.metadata.uid, container.name, wait)

    def _pulled(self, pod: Pod, container: Container, attempt: int, ended: PodImage | StartFailure) -> None:
        """A pull has ended: its container can start, or waits."""
        uid, name = pod.metadata.uid, container.name
        self._book.change_container(uid, name, lambda c: replace(c, pulling=False))
        if isinstance(ended, StartFailure):
            self.fail(pod, container, ended)
        else:
            if ended.pulled:
                self._tell(pod, container, "Normal", "Pulled", ended.told)
            self._book.change_container(uid, name, lambda c: replace(c, image=ended, problem=None))
        self._wake(uid)

    def image_came(self, reference: str, *, made_here: bool) -> None:
        """A name leads to an image: who lacks it is tried again. What was made here need not be waited for elsewhere."""
        for uid, pod in tuple(self._book.pods.items()):
            wanting = {c.name: c for c in every_container(pod) if wants_image(c, reference)}
            if self._book.eased(uid, lambda c, w=wanting: c.name in w and lacks_image(c.problem)):  # type: ignore[misc]
                self._wake(uid)
            for container in wanting.values() if made_here else ():
                self._use_instead_of_pull(uid, container)

    def _use_instead_of_pull(self, uid: str, container: Container) -> None:
        facts, name = self._book.facts.get(uid), container.name
        if facts is None or not facts.container(name).pulling or self._images.find(container) is None:
            return
        self._pulls.give_up(uid, name)
        self._book.change_container(uid, name, lambda c: replace(c, pulling=False, problem=None))
        self._wake(uid)

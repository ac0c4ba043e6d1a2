"""Answers questions about access: who a token is, who I am, what somebody may do. Nothing is stored.

One row for each kind in `REVIEWS`; the handler finds it by the kind.
Source: Kubernetes v1.36, pkg/registry/authentication and pkg/registry/authorization, pkg/apis/authorization/validation.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from msgspec.structs import replace

from pinnace.api.access.attributes import Attributes
from pinnace.api.access.claims import TokenRefused
from pinnace.api.access.rules import compact
from pinnace.api.access.users import User
from pinnace.api.validation.problems import Problems
from pinnace.base.errors import ApiError, Reason
from pinnace.base.times import render_time
from pinnace.kube import codec, kinds
from pinnace.kube.kinds import Kind
from pinnace.kube.objects.authentication_v1 import (
    SelfSubjectReviewStatus,
    TokenReviewStatus,
    UserInfo,
)
from pinnace.kube.objects.authorization_v1 import (
    NonResourceAttributes,
    NonResourceRule,
    ResourceAttributes,
    ResourceRule,
    SubjectAccessReviewSpec,
    SubjectAccessReviewStatus,
    SubjectRulesReviewStatus,
)
from pinnace.kubeapi.answers import answer
from pinnace.kubeapi.calls import Call
from pinnace.kubeapi.negotiation import OBJECT_ONLY, negotiate
from pinnace.kubeapi.presenting import finish
from pinnace.kubeapi.writing import read_object

Review = Callable[[Call], Awaitable[web.StreamResponse]]


def _show(call: Call, review: Any) -> web.Response:
    wanted = negotiate(call.accept, OBJECT_ONLY)
    body = finish(codec.encode(review), wanted)
    return answer(body, status=201, content_type=wanted.content_type, warnings=call.warnings)


def to_user_info(user: User) -> UserInfo:
    """Return a user as the API shows it."""
    return UserInfo(username=user.name, uid=user.uid, groups=user.groups, extra=dict(user.extra))


# ---------------------------------------------------------------------------------------------------- authentication


async def review_token(call: Call) -> web.StreamResponse:
    """Say whose token it is."""
    review = await read_object(call, kinds.TOKEN_REVIEW)
    if not review.spec.token:
        raise ApiError(Reason.BAD_REQUEST, "token is required for TokenReview in authentication")
    return _show(call, replace(review, status=_check_token(call, review.spec.token, review.spec.audiences)))


def _check_token(call: Call, token: str, audiences: tuple[str, ...]) -> TokenReviewStatus:
    tokens = call.means.tokens
    try:
        if tokens is None:
            raise TokenRefused("")
        found = tokens.authenticate(token, audiences)
    except TokenRefused as refused:
        why = str(refused)
        return TokenReviewStatus(error=f"[invalid bearer token, {why}]" if why else "invalid bearer token")
    return TokenReviewStatus(authenticated=True, audiences=found.audiences, user=to_user_info(found.user))


async def review_self(call: Call) -> web.StreamResponse:
    """Say who asks."""
    review = await read_object(call, kinds.SELF_SUBJECT_REVIEW)
    now = render_time(call.api.clock.now())
    return _show(
        call,
        replace(
            review,
            metadata=replace(review.metadata, creation_timestamp=now),
            status=SelfSubjectReviewStatus(user_info=to_user_info(call.user)),
        ),
    )


# ---------------------------------------------------------------------------------------------------- authorization


async def review_access(call: Call) -> web.StreamResponse:
    """Say whether somebody may do something."""
    review = await read_object(call, kinds.SUBJECT_ACCESS_REVIEW)
    return _show(call, replace(review, status=_decide_for(call, review.spec, call.kind)))


async def review_local_access(call: Call) -> web.StreamResponse:
    """Say whether somebody may do something in one namespace."""
    review = await read_object(call, kinds.LOCAL_SUBJECT_ACCESS_REVIEW)
    spec = review.spec
    problems = Problems()
    if spec.non_resource_attributes is not None:
        problems.invalid(
            "spec.nonResourceAttributes",
            _show_path(spec.non_resource_attributes),
            "disallowed on this kind of request",
        )
    _refuse(problems, call.kind)
    given = spec.resource_attributes.namespace if spec.resource_attributes is not None else ""
    if spec.resource_attributes is not None and given != call.namespace:
        raise ApiError(
            Reason.BAD_REQUEST, f"spec.resourceAttributes.namespace must match namespace: {call.namespace}"
        )
    return _show(call, replace(review, status=_decide_for(call, spec, call.kind)))


async def review_self_access(call: Call) -> web.StreamResponse:
    """Say whether the caller may do something."""
    review = await read_object(call, kinds.SELF_SUBJECT_ACCESS_REVIEW)
    spec = review.spec
    problems = Problems()
    _check_question(spec.resource_attributes, spec.non_resource_attributes, problems)
    _refuse(problems, call.kind)
    asked = to_attributes(spec.resource_attributes, spec.non_resource_attributes)
    return _show(call, replace(review, status=_answer(call, call.user, asked)))


async def review_self_rules(call: Call) -> web.StreamResponse:
    """Say everything that the caller may do in a namespace."""
    review = await read_object(call, kinds.SELF_SUBJECT_RULES_REVIEW)
    if not review.spec.namespace:
        raise ApiError(Reason.BAD_REQUEST, "no namespace on request")
    rules, missing = call.api.access.rules_for(call.user, review.spec.namespace)
    status = SubjectRulesReviewStatus(
        evaluation_error=missing,
        resource_rules=tuple(
            ResourceRule(
                verbs=rule.verbs,
                api_groups=rule.api_groups,
                resources=rule.resources,
                resource_names=rule.resource_names,
            )
            for rule in compact(rules)
            if rule.resources
        ),
        non_resource_rules=tuple(
            NonResourceRule(verbs=rule.verbs, non_resource_urls=rule.non_resource_urls)
            for rule in rules
            if rule.non_resource_urls
        ),
    )
    return _show(call, replace(review, status=status))


def _decide_for(call: Call, spec: SubjectAccessReviewSpec, kind: Kind[Any]) -> SubjectAccessReviewStatus:
    problems = Problems()
    _check_question(spec.resource_attributes, spec.non_resource_attributes, problems)
    if not spec.user and not spec.groups:
        problems.invalid("spec.user", "", "at least one of user or group must be specified")
    _refuse(problems, kind)
    user = User(spec.user, spec.groups, spec.uid, spec.extra)
    return _answer(call, user, to_attributes(spec.resource_attributes, spec.non_resource_attributes))


def _answer(call: Call, user: User, asked: Attributes) -> SubjectAccessReviewStatus:
    decision = call.api.access.decide(user, asked)
    return SubjectAccessReviewStatus(allowed=decision.allowed, reason=decision.reason)


def to_attributes(resource: ResourceAttributes | None, path: NonResourceAttributes | None) -> Attributes:
    """Return what a review asks about."""
    if resource is None:
        return Attributes(path.verb, path=path.path) if path is not None else Attributes("")
    return Attributes(
        resource.verb,
        resource.group,
        resource.version,
        resource.resource,
        resource.subresource,
        resource.namespace,
        resource.name,
    )


def _check_question(
    resource: ResourceAttributes | None, path: NonResourceAttributes | None, problems: Problems
) -> None:
    if resource is not None and path is not None:
        problems.invalid(
            "spec.nonResourceAttributes",
            _show_path(path),
            "cannot be specified in combination with resourceAttributes",
        )
    if resource is None and path is None:
        problems.invalid(
            "spec.resourceAttributes",
            None,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )


def _show_path(path: NonResourceAttributes) -> dict[str, str]:
    return {"Path": path.path, "Verb": path.verb}


def _refuse(problems: Problems, kind: Kind[Any]) -> None:
    if problems:
        raise problems.to_error(kind.kind, kind.group, "")


# ---------------------------------------------------------------------------------------------------- tokens


async def serve_token_request(call: Call) -> web.StreamResponse:
    """Issue a token of a service account."""
    tokens = call.means.tokens
    if tokens is None:
        raise ApiError(Reason.SERVICE_UNAVAILABLE, "nobody here issues tokens")
    request = await read_object(call, kinds.TOKEN_REQUEST)
    problems = Problems()
    meta = request.metadata
    for name, given, wanted in (
        ("name", meta.name, call.name),
        ("namespace", meta.namespace, call.namespace),
    ):
        if given and given != wanted:
            problems.invalid(f"metadata.{name}", given, f"must match the service account {name} if specified")
    if problems:
        raise problems.to_error("TokenRequest", "authentication.k8s.io", call.name)
    spec = request.spec
    filled = replace(
        spec,
        audiences=spec.audiences or tokens.audiences,
        expiration_seconds=3600 if spec.expiration_seconds is None else spec.expiration_seconds,
    )
    now = render_time(call.api.clock.now())
    issued = tokens.issue(call.namespace, call.name, filled)
    shown = replace(
        request,
        metadata=replace(meta, name=call.name, namespace=call.namespace, creation_timestamp=now),
        spec=filled,
        status=issued,
    )
    return _show(call, shown)


REVIEWS: Mapping[str, Review] = {
    kinds.TOKEN_REVIEW.resource: review_token,
    kinds.SELF_SUBJECT_REVIEW.resource: review_self,
    kinds.SUBJECT_ACCESS_REVIEW.resource: review_access,
    kinds.LOCAL_SUBJECT_ACCESS_REVIEW.resource: review_local_access,
    kinds.SELF_SUBJECT_ACCESS_REVIEW.resource: review_self_access,
    kinds.SELF_SUBJECT_RULES_REVIEW.resource: review_self_rules,
}

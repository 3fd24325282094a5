"""IAM's policies held against what AWS was asked to do: which actions would have been refused.

Actions are compared, the buckets of S3's, and whether a role has to be within a boundary; other resources and
conditions are not: neither moto nor this knows them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from tests.deploy.running import ROOT

#: How far the hosts' roles may go: the policy that is made from ``iam/hosts-boundary.json``.
BOUNDARY = "arn:aws:iam::123456789012:policy/pegboard-hosts"
FILLED_IN = {"ACCOUNT": "123456789012", "REGION": "eu-central-1", "STATE_BUCKET": "our-states"}
# The sub-resource that a request names, and what IAM calls it.
S3_NAMES = {
    "accelerate": "AccelerateConfiguration", "acl": "BucketAcl", "cors": "BucketCORS",
    "encryption": "EncryptionConfiguration", "lifecycle": "LifecycleConfiguration", "logging": "BucketLogging",
    "object-lock": "BucketObjectLockConfiguration", "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy", "publicAccessBlock": "BucketPublicAccessBlock",
    "replication": "ReplicationConfiguration", "requestPayment": "BucketRequestPayment", "tagging": "BucketTagging",
    "versioning": "BucketVersioning", "website": "BucketWebsite",
}  # fmt: skip
# Taking these away is setting them to nothing.
SET_BY_DELETE = {"encryption", "lifecycle", "ownershipControls", "publicAccessBlock", "tagging"}
OF_A_BUCKET = {"GET": "s3:ListBucket", "HEAD": "s3:ListBucket", "PUT": "s3:CreateBucket", "DELETE": "s3:DeleteBucket"}
OF_AN_OBJECT = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"}


def policy(name: str) -> dict[str, Any]:
    """Return one of the project's policies, its placeholders filled in as the README says."""
    return _filled_in(f"{name}-policy.json")


def boundary() -> dict[str, Any]:
    """Return what a host may do at most, filled in likewise."""
    return _filled_in("hosts-boundary.json")


def _filled_in(file: str) -> dict[str, Any]:
    text = (ROOT / "terraform" / "iam" / file).read_text(encoding="utf-8")
    for placeholder, value in FILLED_IN.items():
        text = text.replace(placeholder, value)
    return dict(json.loads(text))


def refused(rules: Mapping[str, Any], asked: Iterable[str], within: str | None = None) -> set[str]:
    """Return what none of a policy's statements allows of what AWS was asked (see :mod:`tests.deploy.aws`).

    ``within`` is the boundary of the roles that AWS was asked for.
    """
    wanted = {_action(line) for line in asked}
    held = {"Statement": [statement for statement in rules["Statement"] if _holds(statement, within)]}
    return {f"{action} {resource}".strip() for action, resource in wanted if not _allowed(held, action, resource)}


def beyond(bounds: Mapping[str, Any], rules: Mapping[str, Any]) -> set[str]:
    """Return what a policy allows that goes beyond a boundary: actions, with what they are allowed on."""
    wanted = {
        (action, resource)
        for statement in rules["Statement"]
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
    }
    return {f"{action} {resource}" for action, resource in wanted if not _allowed(bounds, action, resource)}


def _action(line: str) -> tuple[str, str]:
    if not line.startswith("s3:"):
        return line, ""
    method, target = line.removeprefix("s3:").split(" ", 1)
    path, _, query = target.partition("?")
    bucket, _, key = path.strip("/").partition("/")
    if key:
        return OF_AN_OBJECT[method], f"arn:aws:s3:::{bucket}/{key}"
    return _of_a_bucket(method, query.split("&")[0].split("=")[0]), f"arn:aws:s3:::{bucket}"


def _of_a_bucket(method: str, part: str) -> str:
    if part not in S3_NAMES:
        return OF_A_BUCKET[method]
    verb = "Put" if method == "DELETE" and part in SET_BY_DELETE else method.capitalize()
    return f"s3:{verb}{S3_NAMES[part]}"


def _holds(statement: Mapping[str, Any], within: str | None) -> bool:
    named = statement.get("Condition", {}).get("StringEquals", {}).get("iam:PermissionsBoundary", within)
    return bool(named == within)


def _allowed(rules: Mapping[str, Any], action: str, resource: str) -> bool:
    return any(
        statement["Effect"] == "Allow"
        and _any(statement["Action"], action)
        and (not resource or _any(statement["Resource"], resource))
        for statement in rules["Statement"]
    )


def _any(patterns: str | list[str], value: str) -> bool:
    return any(fnmatchcase(value, one) for one in _listed(patterns))


def _listed(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given

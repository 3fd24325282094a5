"""IAM's policies held against what AWS was asked to do: which actions would have been refused.

Actions are compared, and the buckets of S3's; other resources and conditions are not: neither moto nor this knows them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from tests.deploy.running import ROOT

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
    text = (ROOT / "terraform" / "iam" / f"{name}-policy.json").read_text(encoding="utf-8")
    for placeholder, value in FILLED_IN.items():
        text = text.replace(placeholder, value)
    return dict(json.loads(text))


def refused(rules: Mapping[str, Any], asked: Iterable[str]) -> set[str]:
    """Return what none of a policy's statements allows of what AWS was asked (see :mod:`tests.deploy.aws`)."""
    wanted = {_action(line) for line in asked}
    return {f"{action} {resource}".strip() for action, resource in wanted if not _allowed(rules, action, resource)}


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


def _allowed(rules: Mapping[str, Any], action: str, resource: str) -> bool:
    return any(
        statement["Effect"] == "Allow"
        and _any(statement["Action"], action)
        and (not resource or _any(statement["Resource"], resource))
        for statement in rules["Statement"]
    )


def _any(patterns: str | list[str], value: str) -> bool:
    return any(fnmatchcase(value, one) for one in ([patterns] if isinstance(patterns, str) else patterns))

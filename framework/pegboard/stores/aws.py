"""What an S3 client is made of here, and what its errors mean to a user."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pegboard.errors import RegistryError
from pegboard.stores import StoreAway

#: A server that reloads waits for these, several times over; then it goes on with what it has.
CONNECT_SECONDS = 3
READ_SECONDS = 15
ATTEMPTS = 3
#: Connections that are kept open, as many as entries are read at once.
CONNECTIONS = 16

CREDENTIALS = "give AWS credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role"
EXPIRED = "sign in again, and give the new credentials"
WRONG_KEY = "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
REGION = "set AWS_REGION to the region of the bucket"
RIGHTS = (
    "grant s3:ListBucket on the bucket, s3:GetObject and s3:PutObject on its keys, and s3:DeleteObject for clearing up"
)

#: Codes of S3's answers, and what helps.
REMEDIES = {
    "403": RIGHTS,
    "AccessDenied": RIGHTS,
    "AuthorizationHeaderMalformed": REGION,
    "EntityTooLarge": "no file may be larger than 5 GiB",
    "ExpiredToken": EXPIRED,
    "IllegalLocationConstraintException": REGION,
    "InvalidAccessKeyId": WRONG_KEY,
    "InvalidToken": EXPIRED,
    "NoSuchBucket": "make the bucket, or correct its name",
    "PermanentRedirect": REGION,
    "RequestTimeTooSkewed": "set the clock of this machine",
    "SignatureDoesNotMatch": WRONG_KEY,
    "TokenRefreshRequired": EXPIRED,
}
#: Answers that say nothing about what was asked: another time it may go well.
PASSING = frozenset({"RequestTimeout", "ThrottlingException"})
PASSING_STATUS = frozenset({429, 500, 502, 503, 504})
MISSING = frozenset({"404", "NoSuchKey", "NotFound"})


def connect(location: str) -> Any:
    """Return a client for S3, which threads may share; where and as whom is what AWS's own settings say."""
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise RegistryError(f"{location} needs boto3: pip install 'pegboard[s3]'") from None

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=CONNECTIONS,
    )
    with answers(location):
        try:
            session = boto3.session.Session()
            # What Terraform and AWS's other tools read; boto3 alone knows it by its older name only.
            return session.client("s3", region_name=session.region_name or os.environ.get("AWS_REGION"), config=config)
        except ValueError as error:  # of an endpoint that is no URL; or of a region that is none
            raise RegistryError(f"{location}: {error}: correct AWS_ENDPOINT_URL or AWS_REGION") from error


@contextmanager
def answers(location: str, key: str = "") -> Iterator[None]:
    """Turn what botocore raises while ``key`` is asked for into errors that say where, and what to do."""
    from botocore import exceptions as botocore

    try:
        yield
    except botocore.ClientError as error:
        raise _refusal(error, location, key) from error
    except (botocore.ConnectionError, botocore.HTTPClientError) as error:
        raise StoreAway(f"{location} cannot be reached: {error}") from error
    except (botocore.IncompleteReadError, botocore.FlexibleChecksumError) as error:
        raise StoreAway(f"{location} gave an answer that was cut or altered on the way: {error}") from error
    except botocore.BotoCoreError as error:
        raise RegistryError(f"{location}: {error}: {CREDENTIALS}") from error


def code(error: Any) -> str:
    """Return the code of a ``ClientError``; for an answer without a body it is the HTTP status."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _refusal(error: Any, location: str, key: str) -> RegistryError:
    if code(error) in MISSING and key:
        return RegistryError(f"{location} holds no {key}")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code(error) in PASSING or status in PASSING_STATUS:
        return StoreAway(f"{location} does not answer now: {error}")
    remedy = REMEDIES.get(code(error), "see what S3 says, and the rights and settings of the bucket")
    return RegistryError(f"{location}: {error}: {remedy}")

"""A server that stands in for AWS: moto's, on loopback, a request at a time; it writes down what it was asked to do.

``python -m tests.deploy.aws REGION LOG`` prints its port. What only AWS itself can put into an account is put into
moto's memory: the parameters by which Canonical publishes its images, and what machines show on their consoles. Two
things that moto takes and does not give back are given back, since Terraform would see drift; it answers as if it had
been asked over TLS; and a machine's metadata say that its role's credentials are good. Every line of the log is an
action and what it was for: ``ec2:RunInstances``, ``s3:GET /bucket?versioning``.
"""

from __future__ import annotations

import io
import json
import re
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs

from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.responses import general
from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from moto.instance_metadata import urls as metadata
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.ssm.models import Parameter, ssm_backends
from werkzeug.serving import make_server

CANONICAL = "/aws/service/canonical/ubuntu/server/24.04/stable/current/{}/hvm/ebs-gp3/ami-id"


class Recorder:
    """A WSGI application that answers as moto does, one request after the other, and keeps a log.

    One at a time, because AWS decides atomically where moto looks first and writes then.
    """

    def __init__(self, log: Path) -> None:
        """Write to ``log``."""
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self._log = log

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        with self._lock:
            self._write(asked(environ, body))
            return list(self._moto(environ, start_response))

    def _write(self, what: str | None) -> None:
        if what:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(what + "\n")


def asked(environ: dict[str, Any], body: bytes) -> str | None:
    """Return what a signed request is for; ``None`` for one that nobody has signed (moto's own pages)."""
    scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([a-z0-9-]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    if scope is None:
        return None
    service = scope[1]
    if service == "s3":
        return f"s3:{environ['REQUEST_METHOD']} {environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}"
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return f"{service}:{target.rsplit('.', 1)[1]}"
    # A form: ec2, iam, elasticloadbalancing, sts.
    return f"{service}:{parse_qs(body.decode())['Action'][0]}"


def publish_images(region: str) -> None:
    """Let the account find an Ubuntu where Canonical publishes it; moto refuses such a name to everybody else."""
    image = ec2_backends[DEFAULT_ACCOUNT_ID][region].describe_images()[0].id
    for architecture in ("amd64", "arm64"):
        name = CANONICAL.format(architecture)
        ssm_backends[DEFAULT_ACCOUNT_ID][region]._parameters[name].append(Parameter(
            account_id=DEFAULT_ACCOUNT_ID, name=name, value=image, parameter_type="String", description=None,
            allowed_pattern=None, keyid=None, last_modified_date=datetime.now(UTC), version=1,
            data_type="aws:ec2:image",
        ))  # fmt: skip


def give_back() -> None:
    """Let moto tell what it was told: the groups of an instance's own interface, the description of a group's rule."""
    prepare = Instance.prep_nics

    def prepare_and_keep(own: Instance, *given: Any, **named: Any) -> None:
        prepare(own, *given, **named)
        own.security_groups = own.security_groups or list(own.nics[0].group_set)

    Instance.prep_nics = prepare_and_keep
    SecurityGroupRule.description = property(
        lambda own: own.ip_range.get("Description") or (own.source_group or {}).get("Description")
    )


def be_asked_over_tls() -> None:
    """Let no bucket's policy refuse what comes without TLS: moto has none, and would refuse everything."""
    judge = IAMPolicyStatement.is_action_permitted

    def judge_as_over_tls(own: IAMPolicyStatement, *given: Any, **named: Any) -> PermissionResult:
        if own._statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}:
            return PermissionResult.NEUTRAL
        return judge(own, *given, **named)

    IAMPolicyStatement.is_action_permitted = judge_as_over_tls


def show_consoles(directory: Path) -> None:
    """Let a machine's console show what the file of its id holds, and nothing of interest where there is none."""
    show = general.General.get_console_output

    def show_its_own(own: general.General) -> Any:
        written = directory / str(own._get_param("InstanceId"))
        text = written.read_text() if written.exists() else "Linux version 6.8\n"
        with patch.object(general, "SAMPLE_CONSOLE_OUTPUT", text):
            return show(own)

    general.General.get_console_output = show_its_own


def say_that_credentials_are_good() -> None:
    """Let the machines' metadata say so: some of AWS's clients take none that do not."""
    path, answer = next(iter(metadata.url_paths.items()))

    def answer_in_full(*asked: Any) -> Any:
        status, headers, body = answer(*asked)
        if '"AccessKeyId"' in body:
            body = json.dumps({"Code": "Success", "Type": "AWS-HMAC", **json.loads(body)})
        return status, headers, body

    metadata.url_paths[path] = answer_in_full


def main(region: str, log: str) -> None:
    """Serve until the process is ended."""
    say_that_credentials_are_good()
    show_consoles(Path(log).with_name("consoles"))
    give_back()
    be_asked_over_tls()
    publish_images(region)
    server = make_server("127.0.0.1", 0, Recorder(Path(log)), threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])

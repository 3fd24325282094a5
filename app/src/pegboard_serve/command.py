"""``pegboard serve`` and ``pegboard token``."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from pegboard.config import load_environment, load_experiment, registry_location
from pegboard.environments import Environment
from pegboard.errors import ConfigError, did_you_mean
from pegboard.registry import Registry
from pegboard_serve.listen import listen, urls
from pegboard_serve.settings import PORT, Settings
from pegboard_serve.supervisor import Supervisor

_DEFAULTS = Settings(model="", registry="")


def _limit(name: str, what: str, kind: click.ParamType[Any] | None = None) -> Any:
    """Return the option of a setting: its default is the setting's own."""
    flag = f"--{name.replace('_', '-')}"
    kind = kind or click.IntRange(min=1)
    return click.option(flag, name, type=kind, default=getattr(_DEFAULTS, name), show_default=True, help=what)


_LIMITS = [
    _limit("max_body", "Bytes of a request's body."),
    _limit("max_rows", "Rows of a request."),
    _limit("max_depth", "Levels of nesting in a body."),
    _limit("max_connections", "Connections held open by a process; more wait."),
    _limit("max_queue", "Requests that wait for a thread; more are told to come again (503).", click.IntRange(min=0)),
    _limit("channel_timeout", "Seconds until a quiet connection is closed."),
    _limit("drain_timeout", "Seconds that requests in flight have when the server ends.", click.FloatRange(min=0)),
    _limit("poll", "Look for another version every so many seconds (0: never).", click.FloatRange(min=0)),
    _limit("threads", "Requests that a process answers at once, beside the short ones."),
    _limit("processes", "Processes that share the port."),
]


def _limits(function: Any) -> Any:
    for option in reversed(_LIMITS):
        function = option(function)
    return function


@click.command(context_settings={"auto_envvar_prefix": "PEGBOARD_SERVE"})
@click.argument("model", metavar="[VERSION]", default="", envvar="PEGBOARD_MODEL")
@click.option("--registry", help="The registry: a directory, or s3://bucket/prefix.")
@click.option("--env", envvar="PEGBOARD_ENV", help="Serve what this environment has, with its settings.")
@click.option("--trusted-key", "trusted_keys", multiple=True, envvar="PEGBOARD_SERVE_TRUSTED_KEY",
              help="A public key's file, one of which must have signed.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes a free one.")
@click.option("--strict", is_flag=True, help="Refuse categories that training has not seen.")
@click.option("--tokens", default="", help="A file of hashed bearer tokens; `pegboard token` makes its lines.")
@click.option("--trusted-host", "trusted_hosts", multiple=True, envvar="PEGBOARD_SERVE_TRUSTED_HOST",
              help="A name in Host that is answered (default: all).")  # fmt: skip
@click.option("--access-log/--no-access-log", default=True, show_default=True, help="A line of JSON for each request.")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="The experiment's file.")
@_limits
@click.pass_context
def serve(
    ctx: click.Context, /, model: str, registry: str | None, env: str | None, config: Path | None, **given: Any
) -> None:
    """Serve a published version: VERSION is name, name/7 or name@alias (default: the experiment's latest).

    SIGTERM ends it when every request in flight has its answer; SIGHUP makes it look for another version behind
    VERSION. Each option can be set by a variable too: PEGBOARD_SERVE_MAX_ROWS, for example.
    """
    if env is not None:
        if model:
            raise click.UsageError(f"name an environment or a version: {env} serves what its alias points at")
        environment = load_environment(env, config)
        registry, model = registry or environment.registry, _reference(environment, registry)
        given |= _settings_of(environment, ctx)
    host, port = given.pop("host"), given.pop("port")
    location = registry or registry_location(config)
    told = Settings(model=model or load_experiment(config).name, registry=location, **given)
    logging.getLogger("pegboard.serve").setLevel(logging.INFO)
    sockets = listen(host, port)
    if told.processes > 1:
        Supervisor(told, sockets).run(lambda served: _announce(served, sockets))
        return
    from pegboard_serve.worker import work

    work(told, sockets, lambda this: _announce(str(this.slot.current.version), sockets))


def _reference(environment: Environment, registry: str | None) -> str:
    found = Registry(registry or environment.registry, offline=True)
    return f"{found.name_of(environment.model)}@{environment.alias}"


def _settings_of(environment: Environment, ctx: click.Context) -> dict[str, Any]:
    """Return what an environment says of serving, but for what flags and variables say."""
    where = f"[environments.{environment.name}.serving]"
    options = {o.name: o for o in ctx.command.params if o.name not in ("model", "registry", "env", "config")}
    settings = {"trusted_keys": environment.trusted_keys}
    for name, value in environment.serving.items():
        if name not in options or name in settings:
            raise ConfigError(f"{where}: unknown setting {name!r}{did_you_mean(name, map(str, options))}")
        try:
            settings[name] = options[name].type_cast_value(ctx, value)
        except (click.BadParameter, TypeError) as error:
            raise ConfigError(f"{where}: {name}: {getattr(error, 'message', error)}") from None
    unset = (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP, None)
    return {name: value for name, value in settings.items() if ctx.get_parameter_source(name) in unset}


def _announce(served: str, sockets: Sequence[socket.socket]) -> None:
    for url in urls(sockets):
        click.echo(f"serving {served} on {url}  (Ctrl-C ends it)")


def _holder(_: click.Context, __: click.Parameter, name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._-]+", name) is None:
        raise click.BadParameter("use letters, digits, dots, hyphens and underscores")
    return name


@click.command()
@click.argument("name", callback=_holder)
@click.option("--admin", is_flag=True, help="It may ask for a reload too.")
def token(name: str, admin: bool) -> None:
    """Make a bearer token: it goes to stdout, the line for the server's file of tokens to stderr."""
    secret = secrets.token_urlsafe(32)
    holder = f"{name} {hashlib.sha256(secret.encode()).hexdigest()}{' admin' * admin}"
    click.echo(f"add to the file of tokens: {holder}", err=True)
    click.echo(secret)

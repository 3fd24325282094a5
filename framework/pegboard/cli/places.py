"""Which registry a command means: ``--registry``, ``--env``, or what the experiment's file says."""

from __future__ import annotations

from pathlib import Path

import click

from pegboard.cli.output import as_json, config_file, options
from pegboard.config import load_environment, registry_location
from pegboard.environments import Environment
from pegboard.registry import Registry
from pegboard.signing import Trust

registry_flag = click.option("--registry", help="The registry: a directory, or s3://bucket/prefix.")
env_flag = click.option("--env", help="The environment whose registry is meant (see [environments] in pegboard.toml).")
registry_flags = options(config_file, registry_flag, env_flag, as_json)


def find_registry(registry: str | None, config: Path | None, env: str | None) -> Registry:
    """Return the registry that the flags mean."""
    if env is not None:
        registry = registry or load_environment(env, config).registry
    return Registry(registry or registry_location(config))


def environment_registry(environment: Environment, location: str | None = None) -> Registry:
    """Return an environment's registry, which opens nothing but what one of its trusted keys has signed."""
    trusted = Trust.of(environment.trusted_keys) if environment.trusted_keys else None
    return Registry(location or environment.registry, trusted)

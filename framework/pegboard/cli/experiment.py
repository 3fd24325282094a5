"""The options that describe an experiment, shared by the commands that need one."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from pegboard.cli.output import config_file, options
from pegboard.config import Experiment, load_experiment
from pegboard.errors import ConfigError

source_flags = options(
    config_file,
    click.option("--source", help="The source to train on (see `pegboard plugins list`)."),
    click.option(
        "--set",
        "source_settings",
        multiple=True,
        metavar="OPTION=VALUE",
        help="Set an option of the source; VALUE is TOML, or else a text. Repeatable.",
    ),
)

training_flags = options(
    source_flags,
    click.option("--name", help="The experiment's name (default: the source's)."),
    click.option("--model", "models", multiple=True, help="Let only these models compete. Repeatable."),
    click.option("--scorer", help="The scorer that all are measured by."),
    click.option("--criterion", help="The rule that chooses the winner."),
    click.option("--preprocessor", help="The preprocessing."),
    click.option("--splitter", help="How folds are cut."),
    click.option("--folds", type=int, help="How many folds."),
    click.option("--holdout", type=float, help="The share of rows that no candidate sees, 0 to 0.5."),
    click.option("--seed", type=int, help="The seed of everything random."),
    click.option("--registry", help="The registry's directory."),
    click.option("--tune", metavar="BUDGET", help="Tune the models first: trials for each (50), or a time (10m)."),
    click.option("--tuner", help="What searches the models' spaces (default: optuna)."),
    click.option("--isolation", help="Fit candidates in processes of their own (process), or in this one (thread)."),
    click.option("--fit-timeout", type=int, help="Seconds that one fold's fit may take, in a process of its own."),
)


def experiment_from(config: Path | None, source_settings: Sequence[str], **flags: Any) -> Experiment:
    """Build the experiment that the file, the environment and the flags describe."""
    return load_experiment(config, flags, dict(map(_setting, source_settings)))


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--set {text!r}: write OPTION=VALUE")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value

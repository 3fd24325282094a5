"""Subcommands come from plugins too, and are imported when they are called."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pegboard import CommandSpec
from pegboard.cli.main import Board, cli
from pegboard.errors import PluginError

MODULE = """
import click

@click.command()
@click.pass_obj
def greet(board):
    click.echo(f"{len(board.manager.plugins)} plugins greet you")
"""


@pytest.fixture
def run(board_with: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    (tmp_path / "greeting_command.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    commands = [
        CommandSpec(name="greet", load="greeting_command:greet", summary="Say hello."),
        CommandSpec(name="absent", load="greeting_command:nothing"),
        CommandSpec(name="broken", load="no_such_module_here:x"),
        CommandSpec(name="train", load="greeting_command:greet", summary="A second train."),
    ]
    manager, _ = board_with(register_commands=commands)
    return lambda *arguments: CliRunner().invoke(cli, arguments, obj=Board(manager))


def test_a_command_is_listed_without_being_imported_and_imported_to_run(run: Callable[..., Result]) -> None:
    listed = run("--help")
    assert re.search(r"greet +Say hello\.", listed.output)
    assert "greeting_command" not in sys.modules
    assert "train" not in listed.output
    assert "predict" in listed.output
    assert "plugins greet you" in run("greet").output
    assert "greeting_command" in sys.modules


def test_a_command_that_is_none_is_an_error_that_names_it(run: Callable[..., Result]) -> None:
    error = run("absent").exception
    assert isinstance(error, PluginError)
    assert str(error) == "command 'absent': greeting_command:nothing is not a click command"


def test_a_command_that_cannot_be_imported_is_an_error_that_names_it(run: Callable[..., Result]) -> None:
    error = run("broken").exception
    assert isinstance(error, PluginError)
    assert str(error).startswith("command 'broken' failed: ModuleNotFoundError")


def test_a_contested_command_does_not_take_the_others_down(run: Callable[..., Result]) -> None:
    assert "plugins greet you" in run("greet").output
    assert "command 'train' belongs to neither" in run("plugins", "list").output
    assert isinstance(run("train").exception, PluginError)

"""``pegboard``: finds the subcommands on the board, and maps errors to exit status 1."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from importlib import import_module
from typing import Any

import click

from pegboard.catalog import Catalog
from pegboard.cli.ending import limit_leaving
from pegboard.cli.output import stdout_for_results
from pegboard.cli.tracing import Trace
from pegboard.errors import PegboardError, PluginError, blamed, did_you_mean
from pegboard.manager import Manager, load_plugins, tracer
from pegboard.provenance import library_version
from pegboard.specs import CommandSpec


class Board:
    """What every command may need: the loaded plugins and what they registered."""

    def __init__(self, manager: Manager) -> None:
        self.manager = manager
        manager.around_observers = stdout_for_results
        self.catalog = Catalog(manager)


class Commands(click.Group):
    """A group whose subcommands are what ``register_commands`` gave; each is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all subcommands."""
        return _board(ctx).catalog.names(CommandSpec)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a subcommand."""
        spec = _board(ctx).catalog.find(CommandSpec, cmd_name)
        return None if spec is None else _load(spec)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands by their summaries, importing none."""
        rows = [(e.spec.name, e.spec.summary) for e in _board(ctx).catalog.entries() if isinstance(e.spec, CommandSpec)]
        claims = Counter(name for name, _ in rows)
        with formatter.section("Commands"):
            formatter.write_dl(sorted(row for row in rows if claims[row[0]] == 1))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Suggest the nearest subcommand for one that there is not."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            hint = did_you_mean(args[0], self.list_commands(ctx)) or "; see `pegboard --help`"
            serve = " (pip install pegboard-serve brings it)" if args[0] == "serve" else ""
            raise click.UsageError(f"no command {args[0]!r}{hint}{serve}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Say what is wrong with the plugins before anything of a subcommand runs; with ``--strict``, that ends it."""
        problems = [str(problem) for problem in _board(ctx).catalog.problems]
        if problems and ctx.params["strict"]:
            listed = "\n  ".join(problems)
            raise PluginError(f"--strict takes no problem with a plugin, and there is:\n  {listed}")
        for problem in problems:
            click.secho(f"warning: {problem}", fg="yellow", err=True)
        return super().invoke(ctx)


def _board(ctx: click.Context) -> Board:
    root = ctx.find_root()
    if root.obj is None:
        with stdout_for_results():
            root.obj = Board(load_plugins())
    board: Board = root.obj
    return board


def _load(spec: CommandSpec) -> click.Command:
    module, _, attribute = spec.load.partition(":")
    with blamed(f"command {spec.name!r}"), stdout_for_results():
        command = getattr(import_module(module), attribute, None)
    if not isinstance(command, click.Command):
        raise PluginError(f"command {spec.name!r}: {spec.load} is not a click command")
    return command


def _verbose(_: click.Context, __: click.Parameter, given: bool) -> None:
    """Show our own log, and nobody else's."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logger = logging.getLogger("pegboard")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.DEBUG if given else logging.WARNING)


def _trace(ctx: click.Context, _: click.Parameter, given: bool) -> None:
    """Show each call of a plugin; when the command ends, all that there were."""
    tracer.handlers, tracer.propagate = [], False
    tracer.setLevel(logging.DEBUG if given else logging.CRITICAL)
    if given:
        trace = Trace()
        tracer.addHandler(trace)
        ctx.call_on_close(trace.summary)


# Eager: plugins are loaded when the subcommand is looked for, before options are ordinarily heeded.
@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(library_version("pegboard"), prog_name="pegboard")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_verbose,
    help="Show tracebacks and what happens inside.",
)
@click.option(
    "--strict", is_flag=True, envvar="PEGBOARD_STRICT", help="Refuse to run while anything is wrong with a plugin."
)
@click.option(
    "--trace",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_trace,
    help="Show each call of a plugin, and how long it took.",
)
def cli(strict: bool) -> None:
    """Hang models on the board, let them compete on your data, and serve the winner."""


def main() -> None:
    """Run the command line; errors that a user can act on are one message, and exit status 1."""
    status: Any = 1
    try:
        cli(prog_name="pegboard")
    except PegboardError as error:
        logging.getLogger("pegboard").debug("the traceback:", exc_info=error)
        click.secho(f"error: {error}", fg="red", err=True)
    except SystemExit as end:
        status = end.code
    finally:
        limit_leaving(status)
    sys.exit(status)

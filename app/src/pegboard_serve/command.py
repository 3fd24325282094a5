"""``pegboard serve``."""

from __future__ import annotations

from pathlib import Path

import click
import waitress

from pegboard.config import load_experiment, registry_location
from pegboard.errors import PegboardError
from pegboard_serve.app import create_app, served
from pegboard_serve.settings import Settings


@click.command()
@click.argument("model", metavar="[VERSION]", default="", envvar="PEGBOARD_MODEL")
@click.option("--registry", help="The registry's directory.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=5000, show_default=True, help="0 takes a free one.")
@click.option("--threads", type=click.IntRange(min=1), default=4, show_default=True, help="Requests answered at once.")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), help="The experiment's file.")
def serve(model: str, registry: str | None, host: str, port: int, threads: int, config: Path | None) -> None:
    """Serve a published version: VERSION is name, name/7 or name@alias (default: the experiment's latest)."""
    location = registry or registry_location(config)
    app = create_app(Settings(model=model or load_experiment(config).name, registry=location))
    try:
        server = waitress.create_server(app, host=host, port=port, threads=threads, ident=None)
    except (OSError, ValueError) as error:  # a host that cannot be resolved is waitress' ValueError
        raise PegboardError(f"cannot listen on {host}:{port}: {error}; choose another with --port or --host") from error
    # A host with several addresses (localhost: 127.0.0.1 and ::1) makes another kind of server.
    several = getattr(server, "effective_listen", None)
    for address, taken in several or [(host, server.effective_port)]:
        shown = f"[{address}]" if ":" in address else address
        click.echo(f"serving {served(app).version} on http://{shown}:{taken}  (Ctrl-C ends it)")
    server.run()

"""Serves a published Pegboard version over HTTP, whatever model it holds."""

from pegboard_serve.app import create_app
from pegboard_serve.settings import Settings

__all__ = ["Settings", "create_app"]

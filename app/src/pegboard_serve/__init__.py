"""Serves a published Pegboard version over HTTP, whatever model it holds: see :mod:`pegboard_serve.app`."""

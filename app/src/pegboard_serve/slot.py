"""The place of the served version: filled at the start, and filled anew in one assignment when another one is ready."""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from pegboard.errors import PegboardError, ReplayError
from pegboard.registry import Version
from pegboard.specs import Versions
from pegboard_serve.loaded import Loaded
from pegboard_serve.metrics import Metrics

logger = logging.getLogger("pegboard.serve")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the version that should serve does not."""

    version: str
    reason: str
    at: str


class Slot:
    """Holds the version that serves; requests read :attr:`current` once each.

    A version that cannot be loaded, or does not answer as it did when it was published, leaves the old one serving.
    """

    def __init__(self, versions: Versions, reference: str, load: Callable[[Version], Loaded], metrics: Metrics) -> None:
        self._versions = versions
        self._reference = reference
        self._load = load
        self._metrics = metrics
        self._reloading = threading.Lock()
        self.failure: Failure | None = None
        self.current = self._loaded(versions.resolve(reference))
        self._tell()

    def reload(self) -> bool:
        """Look behind the reference, and serve what is there now; return whether that is another version.

        Never raises: :attr:`failure` says what went wrong. Callers that come at once wait for one another.
        """
        with self._reloading:
            wanted = self._reference
            try:
                version = self._versions.resolve(self._reference)
                wanted = str(version)
                changed = version.digest != self.current.version.digest
                loaded = self._loaded(version) if changed else self.current
            except Exception as error:
                self._failed(wanted, error)
                return False
            self.failure = None
            self.current = loaded
            self._metrics.reloaded("swapped" if changed else "unchanged")
            if changed:
                self._tell()
                _give_back()
            return changed

    def _loaded(self, version: Version) -> Loaded:
        try:
            loaded = self._load(version)
        except ReplayError:
            self._metrics.replay_failed(version, "pipeline")
            raise
        if loaded.predictor.kernel_refused:
            self._metrics.replay_failed(version, "kernel")
        return loaded

    def _tell(self) -> None:
        """Say what serves, once it does: who reads it finds the version answering, and its reload counted."""
        this = self.current
        self._metrics.serving(this.version, this.predictor.compiled)
        logger.info("serving %s (%s)", this.version, this.predictor.note)

    def _failed(self, wanted: str, error: Exception) -> None:
        reason = str(error) if isinstance(error, PegboardError) else f"{type(error).__name__}: {error}"
        self.failure = Failure(wanted, reason, datetime.now(UTC).isoformat(timespec="seconds"))
        self._metrics.reloaded("failed")
        logger.error("%s keeps serving: %s cannot: %s", self.current.version, wanted, reason)


def _give_back() -> None:
    """Return to the system what the replaced version held, where the C library is glibc.

    glibc keeps what is freed in the arena of the thread that had it, and a load beside a serving version needs much at
    once: a process that is swapped now and then would stay as large as it was with both of them.
    """
    trim = getattr(ctypes.pythonapi, "malloc_trim", None)
    if trim is not None:
        trim(0)

"""Which kernel serves in a pipeline's place, if one does, and why."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

from pegboard.kernels.check import Ask, Row, disagreement
from pegboard.signature import Signature
from pegboard.specs import Kernel, KernelSpec


class Choice(NamedTuple):
    """The kernel that serves, if one does, and why; ``refused`` says that one was tried and cannot be trusted."""

    kernel: Kernel | None
    note: str
    refused: bool = False


def choose(pipeline: Any, signature: Signature, kernels: Sequence[KernelSpec], ask: Ask, rows: Sequence[Row]) -> Choice:
    """Return the kernel that agrees with a pipeline, and a note that names it; or none, and the reason.

    ``ask`` answers canonical columns with the pipeline; ``rows`` are the stored ones. Whatever a kernel raises costs
    the kernel only.
    """
    estimator = type(pipeline.steps[-1][1] if hasattr(pipeline, "steps") else pipeline)
    claims = [spec for spec in kernels if spec.estimator.rpartition(":")[2] == estimator.__name__]
    name = claims[0].name if claims else ""
    try:
        claims = [spec for spec in claims if _resolve(spec.estimator) is estimator]
        if len(claims) != 1:
            return Choice(None, _nobody(estimator, claims))
        name = claims[0].name
        kernel = claims[0].build(pipeline, signature)
        if kernel is None:
            return Choice(None, f"kernel {name!r} does not know this pipeline")
        if not rows:
            return Choice(None, f"kernel {name!r} cannot be checked: the bundle has no stored rows")
        problem = disagreement(kernel, ask, signature, rows)
    except Exception as error:  # whatever a plugin's code raises
        return Choice(None, f"kernel {name!r} failed: {type(error).__name__}: {error}", refused=True)
    if problem:
        return Choice(None, f"kernel {name!r} disagrees with the pipeline: {problem}", refused=True)
    return Choice(kernel, f"kernel {name!r}")


def _resolve(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def _nobody(estimator: type, claims: Sequence[KernelSpec]) -> str:
    if not claims:
        return f"no kernel for {estimator.__name__}"
    names = " and ".join(repr(spec.name) for spec in claims)
    return f"kernels {names} both claim {estimator.__name__}: uninstall one of them"

"""Every check of the conformance kit: importing this package puts them among the :data:`~pegboard.testing.kit.CHECKS`.

The order of the imports is that of the checks.
"""

from pegboard.testing.checks import (  # isort: skip
    plugins,  # noqa: F401
    models,  # noqa: F401
    parameters,  # noqa: F401
    answers,  # noqa: F401
    bundles,  # noqa: F401
    scorers,  # noqa: F401
    sources,  # noqa: F401
    preprocessors,  # noqa: F401
    choices,  # noqa: F401
    tuners,  # noqa: F401
    kernels,  # noqa: F401
    observers,  # noqa: F401
    others,  # noqa: F401
)

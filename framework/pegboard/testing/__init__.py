"""What a plugin's tests may use: the conformance kit, and hypothesis strategies made from signatures.

``from pegboard.testing import conformance`` imports none of the heavy libraries; running a check does.
"""

from pegboard.testing.suite import conformance

__all__ = ["conformance"]

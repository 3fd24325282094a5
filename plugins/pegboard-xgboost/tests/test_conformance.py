"""What the conformance kit asks of everything that the plugin registers."""

from __future__ import annotations

from pegboard.testing import conformance

test_conformance = conformance("xgboost")

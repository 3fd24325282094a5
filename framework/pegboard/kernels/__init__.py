"""Kernels: fitted pipelines compiled for speed, and the :class:`Encoder` that plugins may build theirs on.

A pipeline of scikit-learn spends milliseconds on one row before any arithmetic begins. A kernel reads the fitted
objects once and answers a row in microseconds. Whether it may serve is decided when a bundle is loaded, by
:mod:`pegboard.kernels.check`.
"""

from pegboard.kernels.encoder import Encoder

__all__ = ["Encoder"]

"""Figures about samples, one family a file. Every function is usable alone, on tensors.

Reals come first, fakes second. Features are [N, d] floats from any frozen network. Each returns an `Estimate` or a
NamedTuple of them, and raises DataError for samples that it cannot use.
"""

from equipoise.metrics.copies import copy_rate as copy_rate
from equipoise.metrics.estimate import Estimate as Estimate
from equipoise.metrics.frechet import Moments as Moments
from equipoise.metrics.frechet import frechet_at_infinity as frechet_at_infinity
from equipoise.metrics.frechet import frechet_distance as frechet_distance
from equipoise.metrics.inception_score import inception_score as inception_score
from equipoise.metrics.kernel import kernel_distance as kernel_distance
from equipoise.metrics.neighbours import PRDC as PRDC
from equipoise.metrics.neighbours import nearest as nearest
from equipoise.metrics.neighbours import prdc as prdc

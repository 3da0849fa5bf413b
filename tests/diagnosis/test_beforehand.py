from __future__ import annotations

import pytest

from equipoise.diagnosis.beforehand import beforehand


@pytest.mark.parametrize(
    ("images", "counts", "symptoms"),
    [
        (500, (), set()), (499, (), {"data too sparse"}),
        (1000, [50] * 20, set()), (980, [49] * 20, {"data too sparse"}),
        (5000, [300, 3000, 0, 1700], set()), (5000, [299, 3000, 1701], {"data imbalanced"}),
        (10_000, [100] * 64, set()), (10_000, [100] * 65, {"batch too small"}),
    ],
)  # fmt: skip
def test_what_is_told_of_data(images, counts, symptoms):
    assert {finding.symptom for finding in beforehand(images, counts, batch=64)} == symptoms

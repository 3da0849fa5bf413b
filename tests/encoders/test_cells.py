"""Cells are those of Bins.fit, fitted once for the same features and count."""

import pytest
import torch

from equipoise.encoders.cache import Cache
from equipoise.encoders.cells import cells
from equipoise.errors import DataError
from equipoise.metrics import Bins

X = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))


def test_cells_are_fitted_once_for_the_same_features_and_count(tmp_path, monkeypatch):
    cache, fitted = Cache(tmp_path), []
    fit = Bins.fit
    monkeypatch.setattr(Bins, "fit", lambda x, count: fitted.append(count) or fit(x, count))
    first, again = cells(X, 5, cache), cells(X.clone(), 5, cache)
    torch.testing.assert_close(first.centres, fit(X, 5).centres, rtol=0, atol=0)
    torch.testing.assert_close(again.centres, first.centres, rtol=0, atol=0)
    assert fitted == [5]
    assert len(cells(X, 6, cache).centres) == 6
    cells(X + 1, 5, cache)
    cells(X, 5, None)
    assert fitted == [5, 6, 5, 5], "another count, other features, nothing to remember them in"


def test_too_few_features_are_refused_and_nothing_is_remembered(tmp_path):
    with pytest.raises(DataError):
        cells(X[:20], 5, Cache(tmp_path))
    assert not list(tmp_path.iterdir())

from __future__ import annotations

import numpy as np
import pytest

from equipoise import pictures
from equipoise.errors import ConfigError
from equipoise.uses import mixing


def test_rows_give_the_coarse_styles_and_columns_the_fine_ones(styled):
    """The fake's layers own two lines of pixels each: what a style gives can be seen where it is."""
    table = np.asarray(mixing.table(styled, 4, seed=5, label=None, coarse=1))
    rows, columns = styled.sample(2, 5), styled.sample(2, 6)
    expected = np.concatenate([np.full_like(columns[:1], pictures.BACKGROUND), columns])
    for row in rows:
        mixed = columns.copy()
        mixed[:, :2] = row[:2]
        expected = np.concatenate([expected, row[None], mixed])
    assert np.array_equal(table, np.asarray(pictures.grid(expected, 3)))


@pytest.mark.parametrize("coarse", [0, 4])
def test_more_styles_than_there_are_cannot_be_mixed(coarse, styled):
    with pytest.raises(ConfigError, match="has 4 styles, so give 1 to 3"):
        mixing.table(styled, 4, 0, None, coarse)


def test_a_net_without_styles_is_refused(untrained):
    with pytest.raises(ConfigError, match=r"nets\.kind=mlp has none"):
        mixing.table(untrained("digits"), 4, 0, None, 1)

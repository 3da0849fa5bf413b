"""Which classes are asked for: those of the data, as often, wherever fakes are held against reals."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from equipoise import build
from equipoise.build import classes
from equipoise.data.convert import convert_arrays
from equipoise.data.labels import labels_of
from equipoise.data.ondisk import opened_set
from equipoise.data.source import InMemory, Part, Splits, View, everything
from equipoise.errors import ConfigError
from equipoise.metrics.modes import jensen_shannon

CPU = torch.device("cpu")
GAPS = [0, 0, 40, 0, 0, 10, 0, 0, 0, 50]  # samples of each class


def of(counts) -> Splits:
    y = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    y = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))]
    parts = [InMemory(torch.zeros(len(y), 1, 8, 8, dtype=torch.uint8), y, len(counts)) for _ in range(3)]
    return Splits(*parts)


def asked(tiny, counts, n, purpose, conditioning="projection"):
    config, data = tiny("digits", f"nets.conditioning={conditioning}"), of(counts)
    form = build.form(config, data)
    return form, build.begins(config, form, data.validation, n, purpose, CPU)


@pytest.mark.parametrize("purpose", ["evaluation", "watching"])
@pytest.mark.parametrize("counts", [GAPS, [70, *[10 / 3] * 9], [500, *[1] * 500], [143, 150, 141, 148]])
def test_fakes_that_are_judged_have_the_classes_of_the_training_part_as_often(tiny, counts, purpose):
    counts = [round(3 * count) for count in counts]
    form, begun = asked(tiny, counts, 200, purpose)
    share = torch.tensor(counts) / sum(counts)
    for n in (50, 200):  # a look takes the first
        found = torch.bincount(begun.y[:n], minlength=len(counts))
        assert (found - n * share).abs().max() < 1.5 and not found[share == 0].any()
    in_turns = torch.bincount(build.in_turns(200, form), minlength=len(counts))
    if counts[0] == 210:  # the negative control
        found = torch.bincount(begun.y, minlength=len(counts))
        assert jensen_shannon(found / 200, share) < 0.002 < 0.1 < jensen_shannon(in_turns / 200, share)


def test_grids_take_turns_of_classes_that_occur(tiny):
    _, begun = asked(tiny, GAPS, 64, "fixed")
    assert begun.y.tolist() == ([2, 5, 9] * 22)[:64]


@pytest.mark.parametrize("purpose", ["evaluation", "fixed"])
def test_classes_that_are_as_many_keep_their_turns_and_games_without_classes_their_bits(tiny, purpose):
    form, begun = asked(tiny, [20] * 10, 200, purpose)
    assert form.class_counts == () and "class_counts" not in form.facts()
    assert torch.equal(begun.y, torch.arange(200) % 10)
    form, alone = asked(tiny, GAPS, 200, purpose, "none")
    assert form.facts() == {"shape": [1, 8, 8], "classes": 0} and not alone.y.any()
    assert torch.equal(alone.z, begun.z)


def test_counts_are_kept_with_the_weights_and_are_no_difference_of_nets():
    form = build.Form((1, 8, 8), 3, class_counts=(5, 0, 2))
    again = build.Form.of(form.facts())
    assert again.class_counts == form.class_counts
    assert build.Form.of({"shape": [1, 8, 8], "classes": 3}) == form  # of earlier versions, and a set of other counts


def test_samples_have_the_classes_of_the_training_part_and_one_without_is_refused(untrained):
    trained = untrained("digits", "nets.conditioning=projection", classes=3)
    assert trained.labels(4, None).tolist() == [0, 1, 2, 0]
    trained = replace(trained, form=build.Form((1, 8, 8), 3, class_counts=(60, 0, 30)))
    assert torch.bincount(trained.labels(90, None), minlength=3).tolist() == [60, 0, 30]
    assert np.array_equal(trained.sample(5), trained.sample(300)[:5])
    with pytest.raises(
        ConfigError, match="class 1 was asked for, and no training sample is of it: ask for one of 0, 2"
    ):
        trained.sample(2, label=1)


class Other:
    """A source that says of its labels only what it gives with its samples."""

    shape, classes = (1, 8, 8), 4

    def __len__(self):
        return 2000

    def take(self, indices):
        return torch.zeros(len(indices), *self.shape), indices % 4


def test_labels_are_known_without_the_samples(tmp_path):
    x, y = np.zeros((40, 8, 8), np.uint8), np.arange(40) % 7
    np.savez(tmp_path / "a.npz", x=x, y=y)
    convert_arrays(tmp_path / "a.npz", tmp_path / "set")
    part, data = opened_set(tmp_path / "set", None).train, of(GAPS).train
    assert torch.equal(labels_of(part), everything(part)[1])
    assert torch.equal(labels_of(Part(View(data), torch.arange(9))), everything(data)[1][:9])
    assert torch.equal(labels_of(Other()), torch.arange(2000) % 4)
    assert classes.class_counts(Part(Other(), torch.arange(7))) == (2, 2, 2, 1)

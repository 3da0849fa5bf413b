"""What samples give away: a planted memoriser is caught, the distribution itself passes; people, not slices."""

import pytest
import torch

from equipoise.data import records
from equipoise.errors import DataError
from equipoise.metrics import nearest
from equipoise.metrics.privacy import People, auc, each_person, leaks, privacy

PEOPLE, SLICES, DIM = 30, 6, 8


def population(seed: int, people: int = PEOPLE) -> People:
    """Each person has a middle of their own; slices lie around it."""
    chance = torch.Generator().manual_seed(seed)
    middles = torch.randn(people, 1, DIM, generator=chance)
    x = middles + 0.3 * torch.randn(people, SLICES, DIM, generator=chance)
    return People(x.flatten(0, 1), torch.arange(people).repeat_interleave(SLICES))


def found(fake: torch.Tensor, seed: int = 0):
    return privacy(population(100 + seed), population(200 + seed), fake)


def memorised(train: People, share: float, seed: int = 0) -> torch.Tensor:
    """Fakes from the distribution, of which a share are training samples with a little noise."""
    fresh, chance = population(300 + seed, 50).features, torch.Generator().manual_seed(seed)
    copies = train.features[torch.randint(len(train.features), (len(fresh),), generator=chance)]
    copied = torch.rand(len(fresh), generator=chance) < share
    return torch.where(copied[:, None], copies + 0.02 * torch.randn(copies.shape, generator=chance), fresh)


@pytest.mark.parametrize("seed", range(4))
def test_a_memoriser_is_caught_by_each_figure(seed):
    result = found(memorised(population(100 + seed), 1.0), seed)
    assert len(list(leaks(result._asdict()))) == 3
    assert result.membership.value > 0.95 and result.copied.value > 0.9 and result.nearest_person.value < 0.2


def test_so_is_one_that_copies_every_third_time():
    caught = [list(leaks(found(memorised(population(100 + s), 0.33, s), s)._asdict())) for s in range(4)]
    assert all(caught)


def test_fakes_from_the_distribution_itself_pass_nearly_always():
    passed = [not list(leaks(found(population(400 + s, 50).features, s)._asdict())) for s in range(12)]
    assert sum(passed) >= 11


def test_new_records_are_no_copies_though_many_are_equal_to_training_records():
    train, held_out, fake = (records.flags(n, torch.Generator().manual_seed(n)) for n in (8000, 2001, 2002))
    sides = [People(x, torch.arange(len(x))) for x in (train, held_out)]
    assert (nearest(held_out, train)[0] == 0).double().mean() > 0.1
    fresh, copies = privacy(*sides, fake), privacy(*sides, train[:2000])
    assert fresh.copied.value == pytest.approx(0.05, abs=0.02) and not list(leaks(fresh._asdict()))
    assert copies.copied.low > 0.2 and len(list(leaks(copies._asdict()))) == 3


def test_people_on_both_sides_are_refused():
    train, held_out = population(1), population(2)
    both = People(torch.cat([train.features, held_out.features]), torch.arange(2 * PEOPLE).repeat_interleave(SLICES))
    with pytest.raises(DataError, match="100% of the held-out reals are among the training data"):
        privacy(both, held_out, population(3).features)


def test_blurred_samples_are_nearer_to_everybody_and_that_is_said():
    train, held_out = population(1), population(2)
    blurred = 0.2 * population(3, 50).features
    result = privacy(train, held_out, blurred)
    assert result.nearest_person.value < 1 and result.membership.low <= 0.5
    assert all("blurred" in text for text in leaks(result._asdict()))
    caught = list(leaks(found(memorised(population(100), 1.0))._asdict()))
    assert not any("blurred" in text for text in caught)


def test_people_are_counted_and_not_their_slices():
    train, held_out, fake = population(1), population(2), population(3).features
    once = privacy(train, held_out, fake)
    often = People(held_out.features.repeat(5, 1), held_out.whose.repeat(5))
    again = privacy(train, often, fake)
    width = [e.nearest_person.high - e.nearest_person.low for e in (once, again)]
    assert width[1] == pytest.approx(width[0], rel=0.2)  # five times the rows are no more people


def test_auc_and_means_of_people_by_hand():
    assert auc(torch.tensor([3.0, 1.0]), torch.tensor([1.0, 0.0])) == (1 + 1 + 0.5 + 1) / 4
    assert each_person(torch.tensor([1.0, 5.0, 3.0]), torch.tensor([7, 2, 7])).tolist() == [5.0, 2.0]


def test_one_person_is_nobody_to_compare_with():
    train, one = population(1), population(2, 5)
    with pytest.raises(DataError, match="held_out has 1"):
        privacy(train, People(one.features, torch.zeros(len(one.features))), population(3).features)

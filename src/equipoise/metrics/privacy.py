"""What samples give away of those that they were learnt from: before they are shared.

People are what is counted, not their pictures: slices of a patient are alike, and an interval over slices would be far
too narrow. Held-out people say what is usual for someone whom the generator never saw. That nothing is found is no
proof that nothing is there: each figure knows one attack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from equipoise.errors import DataError
from equipoise.metrics.copies import QUANTILE, require_apart, share_within
from equipoise.metrics.estimate import Estimate, Interval, by_count, by_jackknife, dealt, feasible, wider
from equipoise.metrics.inputs import check_features
from equipoise.metrics.neighbours import nearest

GROUPS = 20  # at most, of people left out together
PEOPLE = 2  # on each side, at least


class People(NamedTuple):
    """Samples, and whose each is."""

    features: Tensor  # [N, d]
    whose: Tensor  # [N] whole numbers


class Privacy(NamedTuple):
    nearest_person: Estimate  # median distance to training people, over that of held-out samples; 1 when as usual
    copied: Estimate  # share of fakes nearer to a training sample than 95% of held-out samples are; .05 when as usual
    membership: Estimate  # chance that the nearer of two people to the fakes is the one learnt from; .5 when unknown


def privacy(train: People, held_out: People, fake: Tensor, seed: int = 0) -> Privacy:
    """Of features of training and held-out people, and of fakes [M, d].

    The attack on membership knows the fakes alone: whoever is near to them is taken for someone who was learnt from
    (Chen et al. 2020, arXiv:1909.03935, the full black box). Of a person the mean over samples counts. Intervals by the
    jackknife over people, not narrower than Wilson's over as many people or fakes.

    Blurred samples lie in the middle, nearer to everybody: `nearest_person` and `copied` take them for copies, and
    `membership` does not, for they are as near to people who were held out.

    Raises:
        DataError: for fewer than 20 held-out samples, fewer than two people on a side, or held-out samples that are
            among the training data.
    """
    features = {"train": train.features, "held_out": held_out.features}
    check_features("privacy", round(1 / QUANTILE), fake=fake, **features)
    people = {name: len(torch.unique(part.whose)) for name, part in (("train", train), ("held_out", held_out))}
    for name, count in people.items():
        if count < PEOPLE:
            raise DataError(f"privacy compares people, and {name} has {count}: hold out more, or give samples of more.")
    of_fake, of_held_out = nearest(fake, train.features)[0], nearest(held_out.features, train.features)[0]
    require_apart("privacy", train.features, of_held_out)
    counts = {"metric": "privacy", "people": people["train"], "held_out_people": people["held_out"]}

    def estimate(value: float, interval: Interval) -> Estimate:
        return Estimate(value, *interval, len(fake), len(train.features), counts)

    near, copied = ratio_of_medians(of_fake, of_held_out), share_below(of_fake, of_held_out)
    of_copies = without_people(copied, share_below, of_fake, of_held_out, held_out.whose, seed)
    return Privacy(
        estimate(near, without_people(near, ratio_of_medians, of_fake, of_held_out, held_out.whose, seed)),
        estimate(copied, wider(of_copies, by_count(copied, len(fake)))),
        membership(train, held_out, fake, estimate),
    )


def membership(
    train: People, held_out: People, fake: Tensor, estimate: Callable[[float, Interval], Estimate]
) -> Estimate:  # fmt: skip
    members, others = (-each_person(nearest(p.features, fake)[0], p.whose) for p in (train, held_out))
    value = auc(members, others)
    count = feasible_people(len(members), len(others))
    parts = [dealt(len(side), count, 0) for side in (members, others)]
    left = [auc(members[parts[0] != g], others[parts[1] != g]) for g in range(count)]
    return estimate(value, wider(by_jackknife(value, left), by_count(value, min(len(members), len(others)))))


def without_people(
    value: float, figure: Callable[[Tensor, Tensor], float], fakes: Tensor, others: Tensor, whose: Tensor, seed: int
) -> Interval:
    """The jackknife over held-out people; with each group of them, one of fakes is left out."""
    _, person = torch.unique(whose, return_inverse=True)
    count = feasible_people(int(person.max()) + 1, len(fakes))
    of_person, of_fake = dealt(int(person.max()) + 1, count, seed)[person], dealt(len(fakes), count, seed)
    return by_jackknife(value, [figure(fakes[of_fake != g], others[of_person != g]) for g in range(count)])


def feasible_people(*counts: int) -> int:
    """Groups to leave out: one person each, where there are few."""
    return feasible(GROUPS, *counts) if min(counts) >= 2 * GROUPS else min(GROUPS, *counts)


def each_person(values: Tensor, whose: Tensor) -> Tensor:
    """The mean of each person's values."""
    _, person = torch.unique(whose, return_inverse=True)
    count = int(person.max()) + 1
    return torch.zeros(count, dtype=values.dtype).index_add(0, person, values) / torch.bincount(person)


def ratio_of_medians(fakes: Tensor, others: Tensor) -> float:
    usual = float(others.median())
    if usual == 0:
        raise DataError("half of the held-out samples are equal to training samples: nothing tells what is usual.")
    return float(fakes.median()) / usual


def share_below(fakes: Tensor, others: Tensor) -> float:
    return share_within(fakes, others, QUANTILE)


def auc(members: Tensor, others: Tensor) -> float:
    """The chance that a member has more than somebody else, and half of it where both have the same."""
    more, same = members[:, None] > others, members[:, None] == others
    return float((more.double() + same.double() / 2).mean())


def leaks(figures: Mapping[str, Estimate]) -> Iterator[str]:
    """In words, what lies beyond chance with its whole interval."""
    near, copied, member = (figures[name] for name in Privacy._fields)
    told = member.low is not None and member.low > 0.5
    perhaps = "" if told else " (blurred samples are, too, and membership does not tell: compare their sharpness)"
    if near.high is not None and near.high < 0.5:
        yield f"fakes lie {near.value:.2f} times as far from training people as held-out people do{perhaps}"
    if copied.low is not None and copied.low > QUANTILE:
        yield f"{copied.value:.0%} of fakes are nearer to a training sample than 95% of held-out samples are{perhaps}"
    if told:
        yield f"whether a person was learnt from can be told from the fakes: right in {member.value:.0%} of pairs"

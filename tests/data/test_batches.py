"""The order of the data: permutations, one after another, and a function of (seed, position) alone."""

import pytest
import torch

from equipoise.data.batches import Batches
from equipoise.data.source import InMemory


def batches(n=10, size=4, seed=0):
    return Batches(InMemory(torch.arange(n, dtype=torch.float32)[:, None], torch.arange(n)), size, seed)


def shown(source, count):
    return [y.tolist() for _, (_, y) in zip(range(count), source, strict=False)]


def flat(lists):
    return [i for part in lists for i in part]


@pytest.mark.parametrize(("n", "size"), [(10, 4), (10, 5), (12, 12), (7, 3), (5, 12), (3, 1)])
def test_each_epoch_is_a_permutation_even_where_batches_straddle_two(n, size):
    epochs = 4 * size
    order = flat(shown(batches(n, size), epochs * n // size))
    assert len(order) == epochs * n
    for start in range(0, len(order), n):
        assert sorted(order[start : start + n]) == list(range(n))


def test_all_batches_have_the_same_size():
    assert {len(batch) for batch in shown(batches(10, 4), 20)} == {4}


def test_epochs_and_seeds_have_orders_of_their_own():
    sources = [batches(50, seed=0), batches(50, seed=1)]
    orders = [tuple(source.order(epoch).tolist()) for source in sources for epoch in (0, 1, 2)]
    assert len(set(orders)) == 6


def test_the_order_is_a_function_of_the_seed():
    torch.manual_seed(1)
    first = shown(batches(seed=3), 9)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert shown(batches(seed=3), 9) == first
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("done", [0, 1, 2, 3, 7, 25])
def test_from_a_position_the_same_batches_follow(done):
    straight, resumed = batches(), batches()
    shown(straight, done)
    shown(resumed, 5)
    resumed.load_state_dict(straight.state_dict())
    assert straight.state_dict() == {"position": 4 * done}
    assert shown(resumed, 8) == shown(straight, 8)


def test_another_batch_size_goes_on_in_the_same_order():
    small, large = batches(size=2), batches(size=6)
    assert flat(shown(small, 15)) == flat(shown(large, 5))


def test_looking_back_does_not_disturb_the_order():
    source, other = batches(), batches()
    shown(source, 4)
    shown(other, 4)
    source.indices(0, 25)
    assert shown(source, 4) == shown(other, 4)


def test_samples_come_with_their_labels():
    x, y = next(batches())
    assert x.shape == (4, 1)
    assert x.flatten().tolist() == y.tolist()


def test_samples_are_varied_by_their_place_in_the_sequence_and_not_by_their_batch():
    def told_their_places(x, position):
        return 1000 * x + torch.arange(position, position + len(x))[:, None]

    source = InMemory(torch.arange(10.0)[:, None], torch.arange(10))
    small, large = (Batches(source, size, 0, augment=told_their_places) for size in (2, 6))
    expected = [1000 * i + place for place, i in enumerate(flat(shown(batches(), 8))[:30])]
    for one in (small, large):
        assert flat(next(one)[0].flatten().tolist() for _ in range(30 // one.size)) == expected
    resumed = Batches(source, 6, 0, augment=told_their_places)
    resumed.load_state_dict({"position": 12})
    assert next(resumed)[0].flatten().tolist() == expected[12:18]


def test_in_focus_its_part_of_the_samples_is_of_the_bins_in_focus():
    source = batches(1000, size=50)
    source.bins = {0: range(10), 1: range(10, 990), 7: range(990, 1000)}
    source.focus(0.4, (0, 7))
    found = torch.tensor(flat(shown(source, 100)))
    rare = (found < 10) | (found >= 990)
    expected = 0.4 + 0.6 * 20 / 1000
    assert rare.float().mean().item() == pytest.approx(expected, abs=4 * (expected / 5000) ** 0.5)
    counts = torch.bincount(found[rare], minlength=1000)[[*range(10), *range(990, 1000)]]
    assert counts.min() > 60, "each of them"


def test_without_a_focus_or_known_bins_the_order_is_as_it_was():
    straight, focused, unknown = batches(), batches(), batches()
    first = shown(straight, 3)
    focused.bins = {2: [0, 1]}
    focused.focus(0.5, (2,))
    assert shown(focused, 3) != first, "the control"
    focused.focus(0.0, ())
    unknown.focus(0.5, (3,))
    assert shown(unknown, 3) == first
    assert shown(focused, 5) == shown(straight, 5)


@pytest.mark.parametrize("done", [0, 1, 5])
def test_a_focus_that_is_set_again_after_a_resume_gives_the_same_batches(done):
    def focused():
        source = batches(100, size=8)
        source.bins = {1: range(5)}
        source.focus(0.5, (1,))
        return source

    straight, resumed = focused(), focused()
    shown(straight, done)
    shown(resumed, 9)
    resumed.load_state_dict(straight.state_dict())
    assert shown(resumed, 8) == shown(straight, 8)

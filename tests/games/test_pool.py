"""The fakes of the past, against the rule that the paper states."""

import torch
from torch.testing import assert_close

from equipoise.games.pool import SWAPPED, NoPool, Pool
from equipoise.processes import ALONE, Processes
from equipoise.streams import Stream

LOTS = Stream(0, "pool")


def fresh(size=8):
    return Pool(size, LOTS, torch.empty(0, 1, 1, 1))


def numbered(first, n):
    return torch.arange(first, first + n).float().view(-1, 1, 1, 1)


def shown(pool, rounds, n=4, processes=ALONE):
    return [pool.shown(numbered(n * i, n), n * i, processes).flatten().tolist() for i in range(rounds)]


def test_until_it_is_full_new_fakes_are_shown_and_kept():
    pool = fresh()
    assert shown(pool, 2) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert pool.kept.flatten().tolist() == list(range(8))


def test_then_half_of_them_change_places_with_old_ones():
    pool, rounds = fresh(50), 400
    later = [value for i, some in enumerate(shown(pool, rounds)[20:], 20) for value in some if value < 4 * i]
    share = len(later) / (4 * (rounds - 20))
    assert abs(share - SWAPPED) < 0.05  # a deviation of .013
    assert len(set(later)) == len(later)  # each leaves the pool as it is shown
    assert len(pool.kept) == 50


def test_what_was_exchanged_stays_in_the_pool():
    pool = fresh(4)
    seen = [value for some in shown(pool, 30) for value in some]
    assert sorted([*seen, *pool.kept.flatten().tolist()]) == sorted([*range(120), 0, 1, 2, 3])  # the first were shown


def test_it_is_a_function_of_its_state():
    one, two = fresh(), fresh()
    shown(one, 5)
    two.load_state_dict({name: value.clone() for name, value in one.state_dict().items()})
    assert one.shown(numbered(90, 4), 20, ALONE).tolist() == two.shown(numbered(90, 4), 20, ALONE).tolist()
    empty = fresh()
    assert one.shown(numbered(94, 4), 24, ALONE).tolist() != empty.shown(numbered(94, 4), 24, ALONE).tolist()


class Half(Processes):
    """One of two processes whose other one makes the same fakes plus 2."""

    def gathered(self, part):
        return torch.cat([part, part + 2] if self.rank == 0 else [part - 2, part])


def test_two_processes_share_one_pool():
    alone, one, two = fresh(), fresh(), fresh()
    for i in range(12):
        whole = numbered(4 * i, 4)
        first = one.shown(whole[:2], 4 * i, Half(0, 2))
        second = two.shown(whole[2:], 4 * i, Half(1, 2))
        assert_close(torch.cat([first, second]), alone.shown(whole, 4 * i, ALONE))
    assert_close(one.kept, two.kept)


def test_no_pool_shows_what_is_new():
    x = numbered(0, 4)
    assert NoPool().shown(x, 0, ALONE) is x

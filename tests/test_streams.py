"""Streams: the same place gives the same numbers, any other place gives other ones."""

import os
import subprocess
import sys

import pytest
import torch
from scipy.stats import kstest

from equipoise.streams import Stream

PLACE = (7, "latents", 3)


def draw(seed, name, index, n=16):
    return torch.rand(n, generator=Stream(seed, name).at(index))


def test_the_same_triple_gives_the_same_numbers():
    stream = Stream(7, "latents")
    stream.at(99)
    assert torch.equal(torch.rand(16, generator=stream.at(3)), draw(*PLACE))


def test_the_same_triple_gives_the_same_numbers_in_another_process():
    code = "from equipoise.streams import Stream; print(Stream(7, 'latents').at(3).initial_seed())"
    env = {**os.environ, "PYTHONHASHSEED": "123"}
    there = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert int(there.stdout) == Stream(7, "latents").at(3).initial_seed()


@pytest.mark.parametrize("other", [(8, "latents", 3), (7, "chords", 3), (7, "latents", 4), (3, "latents", 7)])
def test_another_seed_name_or_index_gives_other_numbers(other):
    assert not torch.isclose(draw(*other), draw(*PLACE)).any()


@pytest.mark.parametrize("a", [(1, "x", 11), (11, "x", 1), (1, "1", 1)])
@pytest.mark.parametrize("b", [(11, "x", 11), (1, "x", 1), (1, "x1", 1), (1, "11", 1)])
def test_places_that_are_spelled_alike_differ(a, b):
    assert not torch.equal(draw(*a), draw(*b))


def test_the_first_numbers_of_successive_indices_are_independent_and_uniform():
    firsts = torch.cat([draw(0, "order", i, n=1) for i in range(2000)])
    assert kstest(firsts, "uniform").pvalue > 0.01
    assert torch.corrcoef(torch.stack([firsts[:-1], firsts[1:]]))[0, 1].abs() < 4 / 2000**0.5


def test_a_stream_neither_reads_nor_moves_the_global_generator():
    draws = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        draws.append(draw(*PLACE))
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(*draws)

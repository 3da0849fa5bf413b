"""G draws from the distribution that it states, and learns as it is told; D reads tokens and their chances alike."""

import pytest
import torch
from torch.testing import assert_close

from equipoise import init
from equipoise.nets.language import Discriminator, Generator, at_place, strongest

WORDS, LENGTH = 7, 5
CELLS = ("lstm", "relational", "transformer")


def made(net, seed=0):
    init.torch_default(net, torch.Generator().manual_seed(seed))
    return net


def generator(cell="lstm", classes=0, **kwargs):
    return made(Generator(WORDS, LENGTH, embedding=6, width=8, cell=cell, classes=classes, **kwargs))


def noise(n, seed=0):
    return torch.randn(n, LENGTH, generator=torch.Generator().manual_seed(seed))


def test_a_place_chooses_the_token_by_its_part():
    logits = torch.tensor([0.2, 0.5, 0.3]).log().expand(4, 3)
    assert at_place(torch.tensor([0.1, 0.25, 0.69, 0.999]), logits).tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("cell", CELLS)
def test_tokens_come_as_often_as_their_chances_say(cell):
    G, n = generator(cell), 4000
    first = G(noise(n), torch.zeros(n, dtype=torch.long))[:, 0]
    chances = G.logits(torch.zeros(1, LENGTH, dtype=torch.long), torch.zeros(1, dtype=torch.long))[0, 0].softmax(-1)
    assert_close(torch.bincount(first, minlength=WORDS) / n, chances, atol=0.03, rtol=0)


@pytest.mark.parametrize("cell", CELLS)
def test_the_logits_of_a_token_do_not_depend_on_those_behind(cell):
    G, y = generator(cell, slots=2) if cell == "relational" else generator(cell), torch.zeros(3, dtype=torch.long)
    tokens = torch.randint(1, WORDS, (3, LENGTH), generator=torch.Generator().manual_seed(1))
    other = tokens.clone()
    other[:, 3:] = 1 + other[:, 3:] % (WORDS - 1)
    a, b = G.logits(tokens, y), G.logits(other, y)
    assert_close(a[:, :4], b[:, :4])
    assert (a[:, 4] - b[:, 4]).abs().max() > 1e-4


@pytest.mark.parametrize("cell", CELLS)
def test_token_by_token_is_all_at_once(cell):
    G, y = generator(cell), torch.zeros(3, dtype=torch.long)
    tokens = torch.randint(1, WORDS, (3, LENGTH), generator=torch.Generator().manual_seed(1))
    state, last, found = G.cell.begin(3), torch.zeros(3, dtype=torch.long), []
    for t in range(LENGTH):
        scores, state = G.next(last, y, state)
        found.append(scores)
        last = tokens[:, t]
    assert_close(torch.stack(found, 1), G.logits(tokens, y))


def test_nothing_is_said_behind_the_end_and_beginnings_are_kept():
    G = generator()
    begun = torch.tensor([[3, 2]]).expand(50, -1)
    found = G(noise(50), torch.zeros(50, dtype=torch.long), begun)
    assert (found[:, :2] == begun).all()
    ended = (found == 0).cummax(1).values
    assert ended.any() and (found[ended] == 0).all()


def test_a_low_temperature_says_the_likeliest():
    G, y = generator(), torch.zeros(20, dtype=torch.long)
    G.temperature.fill_(1e-4)
    found = G(noise(20), y)
    assert (found == found[0]).all()
    assert found[0, 0] == G.logits(torch.zeros(1, LENGTH, dtype=torch.long), y[:1])[0, 0].argmax()


@pytest.mark.parametrize("cell", CELLS)
def test_soft_sentences_are_chances_sharpen_with_beta_and_have_a_slope(cell):
    G, y = generator(cell), torch.zeros(4, dtype=torch.long)
    gumbel = -torch.empty(4, LENGTH, WORDS).exponential_(generator=torch.Generator().manual_seed(3)).log()
    soft, sharp = G.soft(gumbel, y, 1.0), G.soft(gumbel, y, 1e6)
    assert_close(soft.sum(-1), torch.ones(4, LENGTH))
    assert sharp.max(-1).values.min() > 0.99 > soft[:, 0].max()
    soft.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in G.cell.parameters())


@pytest.mark.parametrize("views", [1, 4])
def test_d_reads_tokens_and_certain_chances_alike(views):
    D = made(Discriminator(WORDS, LENGTH, embedding=8, views=views, filters=3, hidden=5, classes=2))
    tokens = torch.randint(0, WORDS, (6, LENGTH), generator=torch.Generator().manual_seed(1))
    y = torch.arange(6) % 2
    of_tokens = D(tokens, y)
    assert of_tokens.shape == ((6,) if views == 1 else (6, views))
    assert_close(of_tokens, D(torch.nn.functional.one_hot(tokens, WORDS).float(), y))
    assert (of_tokens - D(tokens, 1 - y)).abs().max() > 1e-4


@pytest.mark.parametrize("views", [1, 4])
def test_the_strongest_answers_are_those_of_the_convolution(views):
    D = made(Discriminator(WORDS, LENGTH, embedding=8, views=views, filters=3, hidden=5))
    seen = torch.randn(6, LENGTH, 8, generator=torch.Generator().manual_seed(1), requires_grad=True)
    for layer in D.filters:
        apart = seen.unflatten(2, (-1, D.size)).transpose(1, 2)
        ours, theirs = strongest(apart, layer), layer(seen[:, None]).relu().amax(2).transpose(1, 2)
        assert_close(ours, theirs)
        for a, b in zip(*(torch.autograd.grad(x.square().sum(), [seen, layer.weight]) for x in (ours, theirs)),
                        strict=True):  # fmt: skip
            assert_close(a, b)


def test_weights_are_a_function_of_the_seed():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        a = [made(Generator(WORDS, LENGTH, embedding=4, width=8, cell=cell), 1) for cell in CELLS]
        torch.manual_seed(6)
        b = [made(Generator(WORDS, LENGTH, embedding=4, width=8, cell=cell), 1) for cell in CELLS]
    for one, other in zip(a, b, strict=True):
        assert all(
            torch.equal(p, q) for p, q in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
        )

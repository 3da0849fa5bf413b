"""Networks from pictures to pictures: what reaches what, larger pictures at use, and where they start."""

import pytest
import torch
from torch import rand, randn
from torch.testing import assert_close

from equipoise import init
from equipoise.errors import ConfigError
from equipoise.nets.translators import LEAST, Refiner, ResNetGenerator, UNetGenerator, at, halvings

Y = torch.zeros(2)  # what these generators are told, and do not hear


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def small(name, size=16, given=3, channels=3):
    a, x = (given, size, size), (channels, size, size)
    match name:
        case "resnet":
            return ResNetGenerator(a, x, width=4, blocks=2)
        case "unet":
            return UNetGenerator(a, x, width=4, max_width=8)
        case "refiner":
            return Refiner(a, x, width=4, blocks=2)


def reach(function, size=96, channels=1):
    """Rows and columns of the picture that a value in the middle of what is made of it depends on."""
    a = randn(1, channels, size, size, dtype=torch.float64, requires_grad=True)
    made = function(a)
    middle = made[0, 0, made.shape[2] // 2, made.shape[3] // 2]
    seen = torch.autograd.grad(middle, a)[0][0].abs().sum(0) > 0
    return seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()


@pytest.mark.parametrize("size", [8, 16, 28, 32, 64])
@pytest.mark.parametrize(("given", "channels"), [(1, 3), (3, 1), (3, 3)])
@pytest.mark.parametrize("name", ["resnet", "unet"])
def test_pictures_of_every_size_go_through_and_every_weight_is_trained(name, size, given, channels):
    G = small(name, size, given, channels)
    x = G(randn(2, given, size, size), Y)
    assert x.shape == (2, channels, size, size)
    assert x.abs().max() <= 1
    x.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in G.parameters() if p.ndim > 1)


@pytest.mark.parametrize("name", ["resnet", "unet", "refiner"])
def test_larger_and_oblong_pictures_go_through_at_use(name):
    G = small(name).eval()
    assert G(randn(1, 3, 2 * 16, 3 * 16), Y).shape == (1, 3, 32, 48)


def test_sides_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match=r"30 x 16 pixels .* multiples of 4"):
        small("resnet")(randn(1, 3, 30, 16), Y)
    with pytest.raises(ConfigError, match=r"24 x 16 pixels .* multiples of 16"):
        small("unet")(randn(1, 3, 24, 16), Y)
    for make, shape in ((ResNetGenerator, (3, 18, 16)), (ResNetGenerator, (3, 4, 4)), (UNetGenerator, (3, 6, 8))):
        with pytest.raises(ConfigError, match="do not go through"):
            make(shape, shape)
    with pytest.raises(ConfigError, match=r"\[3, 16, 16\] of \[3, 8, 8\]"):
        ResNetGenerator((3, 8, 8), (3, 16, 16))
    with pytest.raises(ConfigError, match=r"\[2\] of \[2\]"):
        UNetGenerator((2,), (2,))


def test_the_smallest_picture_that_is_promised_goes_through():
    for downs in range(4):
        G = ResNetGenerator((1, 64, 64), (1, 64, 64), width=2, blocks=1, downs=downs)
        assert G(randn(1, 1, G.least, G.least), Y).shape[2:] == (G.least, G.least)
    assert ResNetGenerator((1, 8, 8), (1, 8, 8), width=2, blocks=1, downs=0).least == LEAST


def test_the_resnet_has_the_layers_of_the_paper():
    """Zhu et al. 2017, section 7.2: c7s1-64, d128, d256, R256 nine times, u128, u64, c7s1-3."""
    with torch.device("meta"):
        G = ResNetGenerator((3, 256, 256), (3, 256, 256))
    three = 64 * 128 + 128 * 256 + 9 * 2 * 256 * 256 + 256 * 128 + 128 * 64
    assert sum(p.numel() for p in G.parameters() if p.ndim > 1) == 3 * 64 * 49 + 9 * three + 64 * 3 * 49


@pytest.mark.parametrize("name", ["resnet", "unet", "refiner"])
def test_what_is_made_is_a_function_of_the_picture_alone(name):
    G = small(name).train()
    init.he(G, torch.Generator().manual_seed(0))
    a, y = randn(2, 3, 16, 16), randn(2, 5)
    state = torch.get_rng_state()
    assert torch.equal(G(a, Y), G(a, y))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.allclose(G(a, Y), G(a.flip(0), Y))


@pytest.mark.parametrize("name", ["resnet", "unet", "refiner"])
def test_channels_last_changes_the_layout_alone(name):
    G = small(name).double()
    a = randn(2, 3, 16, 16, dtype=torch.float64)
    expected = G(a, Y)
    x = G.to(memory_format=torch.channels_last)(a.to(memory_format=torch.channels_last), Y)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert_close(x, expected)


def interiors(G, large, crop, margin):
    """What G makes of a crop, and of all at the same place, without a margin."""
    top, left, side = crop
    alone = G(large[:, :, top : top + side, left : left + side], Y)
    among = G(large, Y)[:, :, top : top + side, left : left + side]
    cut = slice(margin, side - margin)
    return alone[:, :, cut, cut], among[:, :, cut, cut]


@pytest.mark.parametrize("downs", [0, 1, 2])
def test_beyond_its_reach_a_resnet_without_norms_draws_a_crop_as_it_draws_the_whole(downs):
    G = ResNetGenerator((1, 96, 96), (1, 96, 96), width=3, blocks=1, downs=downs, norms="none").double()
    rows, columns = reach(lambda a: G(a, Y))
    margin = int(max(48 - rows.min(), rows.max() - 48, 48 - columns.min(), columns.max() - 48)) + G.multiple
    assert margin < 40
    large = randn(1, 1, 128, 112, dtype=torch.float64)
    alone, among = interiors(G, large, (16, 8, 88), margin)
    assert_close(alone, among, rtol=0, atol=1e-12)
    edges = interiors(G, large, (16, 8, 88), 0)
    assert not torch.allclose(*edges)  # where the crop ends, it is mirrored in


def test_an_instance_norm_sees_the_whole_picture():
    G = ResNetGenerator((1, 96, 96), (1, 96, 96), width=3, blocks=1, downs=1).double()
    alone, among = interiors(G, randn(1, 1, 128, 112, dtype=torch.float64), (16, 8, 88), 40)
    assert (alone - among).abs().max() > 1e-4


def test_patches_are_unit_vectors_of_five_layers_after_the_paper():
    G = ResNetGenerator((3, 32, 32), (3, 32, 32), width=2, contrast=6)
    found = G.patches(randn(2, 3, 32, 32), rand(7, 2))
    assert [v.shape for v in found] == [(2, 7, 6)] * 5
    assert_close(torch.stack(found).norm(dim=3), torch.ones(5, 2, 7))
    assert G.looked_at == [0, 1, 2, 3, 7]  # pixels, both halvings, the first of nine blocks and the fifth
    of_one_block = ResNetGenerator((3, 16, 16), (3, 16, 16), width=2, blocks=1, contrast=6)
    assert len(of_one_block.patches(randn(2, 3, 16, 16), rand(7, 2))) == 4


def test_patches_tell_of_their_places_on_maps_of_every_size():
    G = ResNetGenerator((3, 16, 16), (3, 16, 16), width=2, blocks=2, norms="none", contrast=6).double()
    x = randn(2, 3, 16, 16, dtype=torch.float64)
    pixels = torch.tensor([[0, 0], [3, 5], [15, 15], [8, 1]])
    found, maps = G.patches(x, (pixels + 0.5) / 16), list(G.maps(x))
    for vectors, layer, head in zip(found, G.looked_at, G.heads, strict=True):
        h = maps[layer]
        step = 16 // h.shape[2]
        by_hand = torch.stack([head(h[:, :, row // step, column // step]) for row, column in pixels.tolist()], 1)
        assert_close(vectors, by_hand)


@pytest.mark.parametrize(("layer", "pixels"), [(0, 1), (1, 9), (2, 13)])
def test_patches_see_as_far_as_their_layers(layer, pixels):
    """1 and 9 pixels as the paper's; its second halving sees 15, for it blurs before."""
    G = ResNetGenerator((1, 96, 96), (1, 96, 96), width=4, blocks=1, norms="none", contrast=4).double()
    rows, columns = reach(lambda a: list(G.maps(a))[layer])
    assert len(rows) == len(columns) == pixels


def test_patches_train_the_encoder_and_their_heads_and_nothing_behind():
    G = ResNetGenerator((3, 16, 16), (3, 16, 16), width=2, blocks=3, contrast=6)
    sum(v[:, :, 0].sum() for v in G.patches(randn(2, 3, 16, 16), rand(5, 2))).backward()
    assert all(p.grad is not None for net in (G.start, G.down, G.heads, G.blocks[:2]) for p in net.parameters())
    assert all(p.grad is None for net in (G.up, G.blocks[2]) for p in net.parameters())


def test_a_place_that_was_rounded_up_to_the_edge_lies_on_the_last_pixel():
    """The largest number that torch draws is 1 - 2^-24, and float32 has no number between it plus 63 and 64."""
    places = (torch.tensor([[63.0, 63.0]]) + (1 - 2**-24)) / 64
    assert places.tolist() == [[1.0, 1.0]]
    x = rand(1, 2, 64, 64)
    assert_close(at(x, places)[:, 0], x[:, :, -1, -1])


def test_a_generator_without_contrast_has_no_patches():
    G = ResNetGenerator((3, 16, 16), (3, 16, 16), width=2, blocks=1)
    assert not list(G.heads)
    with pytest.raises(ConfigError, match="contrast=256"):
        G.patches(randn(1, 3, 16, 16), rand(5, 2))


def silenced(layers):
    for layer in layers:
        layer.register_forward_hook(lambda layer, inputs, output: torch.zeros_like(output))


@pytest.mark.parametrize("norms", ["none", "instance", "batch"])
def test_a_unet_tells_of_its_picture_through_the_skips_and_through_the_bottleneck(norms):
    a = randn(2, 3, 16, 16)

    def told(silent):
        G = UNetGenerator((3, 16, 16), (3, 16, 16), width=8, norms=norms)
        init.he(G, torch.Generator().manual_seed(0))
        silenced([G.down[i] for i in silent])
        x = G(a, Y).detach()
        return (x[0] - x[1]).abs().mean().item(), x

    of_all, whole = told([])
    through_skips, without_bottleneck = told([3])
    assert through_skips > 0.3 * of_all
    assert (whole - without_bottleneck).abs().mean() > 1e-3
    assert told([0])[0] == 0  # no other way leads past the first halving


def test_a_unet_draws_fine_detail_from_the_first_skip():
    G = UNetGenerator((1, 32, 32), (1, 32, 32), width=8, norms="none").double()
    silenced(G.down[1:])
    rows, columns = reach(lambda a: G(a, Y), 32)
    assert len(rows) <= 8
    assert len(columns) <= 8


@pytest.mark.parametrize(
    ("sides", "smallest", "depth"),
    [((256, 256), 1, 8), ((256, 256), 4, 6), ((256, 256), 3, 6), ((28, 28), 1, 2), ((96, 64), 1, 5), ((96, 64), 2, 5)],
)
def test_pictures_are_halved_as_often_as_their_sides_allow(sides, smallest, depth):
    assert halvings(sides, smallest) == depth
    with torch.device("meta"):
        G = UNetGenerator((3, *sides), (3, *sides), width=2, max_width=4, smallest=smallest)
    assert len(G.down) == depth
    assert G.multiple == 2**depth


@pytest.mark.parametrize("given", [3, 4])
def test_a_refiner_starts_as_the_identity_however_it_is_initialised(given):
    a = randn(2, given, 8, 8)
    G = Refiner((given, 8, 8), (3, 8, 8), width=4, blocks=2)
    assert torch.equal(G(a, Y), a[:, :3])
    for initialize in init.INITIALIZERS.values():
        initialize(G, torch.Generator().manual_seed(0))
        assert not torch.equal(G(a, Y), a[:, :3])
        init.fixup(G.branches(), torch.Generator().manual_seed(0))
        assert torch.equal(G(a, Y), a[:, :3])


def test_a_refiner_learns_to_take_away_what_is_too_much():
    G = Refiner((1, 8, 8), (1, 8, 8), width=8, blocks=1)
    init.fixup(G.branches(), torch.Generator().manual_seed(0))
    clean, optimizer = rand(16, 1, 8, 8), torch.optim.Adam(G.parameters(), lr=1e-2)
    stripes = 0.5 * (torch.arange(8) % 2)
    off = []
    for _ in range(40):
        loss = (G(clean + stripes, Y) - clean).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        off.append(loss.item())
    assert off[0] == pytest.approx(stripes.square().mean().item(), rel=1e-4)
    assert off[-1] < 0.2 * off[0]


def test_a_refiner_needs_a_picture_with_as_many_channels():
    with pytest.raises(ConfigError, match="1 channels are not the 3"):
        Refiner((1, 8, 8), (3, 8, 8))


@pytest.mark.parametrize("name", ["xavier", "normal02", "orthogonal"])
def test_initialisers_fill_every_layer_and_leave_a_signal(name):
    a = 2 * rand(4, 3, 32, 32) - 1
    shapes = (3, 32, 32), (3, 32, 32)
    for G in (ResNetGenerator(*shapes, width=32, contrast=16), UNetGenerator(*shapes, width=32, max_width=128)):
        before = {key: p.clone() for key, p in G.named_parameters() if p.ndim > 1}
        init.INITIALIZERS[name](G, torch.Generator().manual_seed(3))
        assert all(not torch.equal(p, before[key]) for key, p in G.named_parameters() if p.ndim > 1)
        assert all(not p.any() for key, p in G.named_parameters() if key.endswith("bias"))
        with torch.no_grad():
            x = G(a, Y)
        assert 0.05 < x.std() < 0.9
        assert (x[0] - x[1]).std() > 0.05

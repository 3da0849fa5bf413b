"""The parts of StyleGAN2's nets against loops, closed forms and published sizes."""

import copy

import pytest
import torch
from scipy.signal import upfirdn
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu
from torch.testing import assert_close

from equipoise import build, init
from equipoise.config import StyleGAN2
from equipoise.ema import EMA
from equipoise.errors import ConfigError
from equipoise.nets import stylegan2
from equipoise.nets.equalised import Linear
from equipoise.nets.modulated import Doubling, Modulated, Noise, Plain, demodulation
from equipoise.penalties import path_lengths, zero_centered

SMALL = {"z_dim": 16, "w_dim": 12, "mapping_layers": 2, "capacity": 128, "max_width": 8}
LOW_PASS = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.double) / 8


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def built(size=16, classes=0, channels=3, **more):
    nets = StyleGAN2(conditioning="projection" if classes else "none", **{**SMALL, **more})
    return build.networks(nets, build.Form((channels, size, size), classes), seed=0)


def latents(n=4, seed=1):
    return torch.randn(n, 16, generator=torch.Generator().manual_seed(seed)), torch.arange(n) % 3


def loud(G):
    """With noise in every layer; at the start its strength is 0."""
    for module in G.modules():
        if isinstance(module, Noise):
            torch.nn.init.ones_(module.strength)
    return G


def millions(net):
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(("mapping_layers", "of_G"), [(8, 30_370_060), (2, 28_794_124)])
def test_the_number_of_weights_is_that_of_the_authors_nets_at_1024_pixels(mapping_layers, of_G):
    """As their program prints it for three channels; D has 29,012,513."""
    G = stylegan2.Generator((3, 1024, 1024), mapping_layers=mapping_layers, capacity=32768)
    D = stylegan2.Discriminator((3, 1024, 1024), capacity=32768)
    assert (millions(G), millions(D), G.layers) == (of_G, 29_012_513, 18)


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (16, 3), (32, 1), (64, 3), (256, 3)])
@pytest.mark.parametrize("classes", [0, 3])
def test_images_of_every_size_go_through_and_every_weight_is_trained(size, channels, classes):
    G, D = built(size, classes, channels, style_mixing=0.5)
    z, y = latents()
    x = G(z, y)
    assert x.shape == (4, channels, size, size)
    assert G.mapping(z, y).shape == (4, 12)
    assert torch.equal(G.eval()(z, y), G.synthesis(G.spread(G.mapping(z, y))))
    logits = D(x, y)
    assert logits.shape == (4,)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for net in (G, D) for p in net.parameters())


def modulated(convolve, size):
    layer = Modulated(3, 5, size, 4, convolve)
    for p in layer.parameters():
        torch.nn.init.normal_(p)
    torch.nn.init.normal_(layer.noise.tile)
    return layer.double()


def filtered(x, gain):
    """The low-pass along each axis, on images of any size, by scipy."""
    for axis in (2, 3):
        x = torch.from_numpy(upfirdn(gain * LOW_PASS.numpy(), x.numpy(), axis=axis))
    return x


def by_plain(x, kernels):
    return conv2d(x, kernels, padding=1)


def by_doubling(x, kernels):
    """Spread over every other pixel, convolved (the flip makes torch's correlation one), and filtered with gain 2."""
    x = torch.from_numpy(upfirdn([1], upfirdn([1], x.numpy(), up=2, axis=2), up=2, axis=3))
    x = conv2d(x, kernels.flip(2, 3), padding=2)
    return filtered(x, 2)[:, :, 2:-2, 2:-2]


@pytest.mark.parametrize(("convolve", "by_hand", "size"), [(Plain(), by_plain, 8), (Doubling(5), by_doubling, 16)])
def test_scaled_feature_maps_are_kernels_scaled_for_each_sample(convolve, by_hand, size):
    layer = modulated(convolve, size)
    x, w, key = torch.randn(4, 3, 8, 8).double(), torch.randn(4, 4).double(), torch.zeros(1).long()
    ours = layer(x, w, key)
    noise = layer.noise.strength * layer.noise.tile
    for i, style in enumerate(layer.style(w).detach()):
        kernels = layer.weight.detach() / 27**0.5 * style[:, None, None]
        kernels = kernels / (kernels.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        expected = by_hand(x[i : i + 1], kernels) + noise + layer.bias[:, None, None]
        assert_close(ours[i : i + 1], leaky_relu(expected, 0.2) * 2**0.5)


def test_demodulation_gives_unit_variance_whatever_the_styles_and_weights():
    x, weight = torch.randn(4, 32, 64, 64), 3 * torch.randn(4, 32, 3, 3)
    style = torch.randn(4, 32) * torch.tensor([0.1, 1, 10, 100])[:, None]
    bare = conv2d(x * style[..., None, None], weight)
    assert_close((bare * demodulation(style, weight)[..., None, None]).var((2, 3)), torch.ones(4, 4), rtol=0.1, atol=0)
    assert bare.var((2, 3)).max() > 1e5 * bare.var((2, 3)).min()


def test_resampling_is_that_of_scipy():
    x = torch.randn(2, 3, 8, 8).double()
    alone = torch.eye(3).double()[:, :, None, None] * torch.eye(3).double()[1].outer(torch.eye(3).double()[1])
    spread = torch.from_numpy(upfirdn([1], upfirdn([1], x.numpy(), up=2, axis=2), up=2, axis=3))  # 15 x 15
    assert_close(Doubling(3).double()(x, alone), filtered(spread, 2)[:, :, 1:-1, 1:-1])
    halving = stylegan2.Halving(3, 3).double()
    with torch.no_grad():
        halving.weight.copy_(alone / halving.scale)
    assert_close(halving(x), filtered(x, 1)[:, :, 2:-1:2, 2:-1:2])


def test_noise_is_the_tile_moved_around_its_edges_by_the_key():
    noise = Noise(8)
    torch.nn.init.normal_(noise.tile)
    torch.nn.init.constant_(noise.strength, 2)
    keys = torch.randint(-(2**63), 2**63 - 1, (6,))
    all_moved = {(a, b): 2 * noise.tile.roll((a, b), (0, 1)) for a in range(8) for b in range(8)}
    places = [[k for k, moved in all_moved.items() if torch.equal(moved, one[0])] for one in noise(keys)]
    assert all(len(place) == 1 for place in places)
    assert len({place[0] for place in places}) > 3
    assert torch.equal(noise(torch.zeros(1).long())[0, 0], 2 * noise.tile)


def test_all_shifts_are_equally_frequent_over_latents():
    G, _ = built()
    noise = Noise(4)
    torch.nn.init.normal_(noise.tile)
    torch.nn.init.ones_(noise.strength)
    corner = noise(G.key(torch.randn(16_000, 16)))[:, 0, 0, 0]
    counts = (corner[:, None] == noise.tile.flatten()).sum(0)  # of 16 shifts, each expected 1,000 times
    assert counts.sum() == 16_000
    assert ((counts - 1000).square() / 1000).sum() < 37.7  # chi squared with 15 degrees of freedom, .999


def test_noise_in_training_differs_between_samples_and_is_a_function_of_z_alone():
    G, _ = built()
    z, y = latents()
    same_style = loud(G).spread(G.mapping(z[:1], y[:1])).expand(4, -1, -1)
    drawn = G.synthesis(same_style, G.key(z))
    assert min((a - b).abs().mean() for i, a in enumerate(drawn) for b in drawn[:i]) > 0.01
    state = torch.get_rng_state()
    x, order = G(z, y), torch.tensor([2, 0, 3, 1])
    assert_close(G(z[order], y[order]), x[order])
    assert_close(G(z[1:2], y[1:2]), x[1:2])
    assert torch.equal(torch.get_rng_state(), state)
    assert (G.eval()(z, y) - x).abs().mean() > 0.01  # in use it stands still


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_styles_mix_in_the_share_asked_for_from_a_layer_on_in_training_only(share):
    G, _ = built(style_mixing=share)
    z, y = torch.randn(2000, 16), torch.arange(2000) % 3
    w, other = G.mapping(z, y), G.mapping(z.flip(1), y)
    styles = G.mixed(w, z, y, G.key(z))  # [B, layers, w_dim]
    own = (styles == w[:, None]).all(2)
    assert torch.equal(styles[~own], other[:, None].expand(-1, G.layers, -1)[~own])
    assert own[:, 0].all()
    assert (own[:, :-1] >= own[:, 1:]).all()
    assert (~own[:, -1]).float().mean().item() == pytest.approx(share, abs=0.04)
    firsts = own.sum(1)[~own[:, -1]]
    assert share == 0 or set(firsts.tolist()) == set(range(1, G.layers))
    assert torch.equal(G.eval()(z[:4], y[:4]), G.synthesis(G.spread(w[:4])))


def test_minibatch_std_is_the_mean_deviation_within_each_group():
    x = torch.randn(6, 2, 3, 3)
    seen = stylegan2.MinibatchStd(3)(x)
    assert torch.equal(seen[:, :2], x)
    for group in ((0, 1, 2), (3, 4, 5)):
        by_hand = x[list(group)].numpy().std(axis=0).mean()
        assert_close(seen[list(group), 2], torch.full((3, 3, 3), by_hand))


@pytest.mark.parametrize(("batch", "group", "size"), [(8, 4, 4), (6, 4, 3), (7, 4, 1), (1, 4, 1), (9, 1, 1)])
def test_a_group_is_the_greatest_that_divides_the_batch(batch, group, size):
    """Groups of copies have no spread, and those of others do."""
    x = torch.randn(batch // size, 2, 3, 3).repeat_interleave(size, 0)
    assert_close(stylegan2.MinibatchStd(group)(x)[:, 2], torch.full((batch, 3, 3), 1e-4))
    others = stylegan2.MinibatchStd(group)(torch.randn(batch, 2, 3, 3))[:, 2]
    assert size == 1 or others.min() > 0.1


def test_D_sees_duplicates():
    _, D = built(group=4)
    _, blind = built(group=1)
    x, y = torch.randn(4, 3, 16, 16), torch.zeros(4).long()
    copies = x[:1].expand(4, -1, -1, -1)
    assert (D(copies, y)[0] - D(x, y)[0]).abs() > 1e-3
    assert_close(blind(copies, y)[0], blind(x, y)[0])


def test_the_mean_of_w_gathers_in_training_and_nowhere_else():
    G, _ = built()
    z, y = latents()
    mean = G.mapping(z, y).mean(0)
    G(z, y)
    with torch.no_grad():
        G(z, y)  # D's step draws without a graph
    assert_close(G.w_mean, (1 - 0.995**2) * mean)
    before = G.w_mean.clone()
    G.synthesis(G.spread(G.mapping(z, y)))
    G.eval()(z, y)
    assert torch.equal(G.w_mean, before)


def test_the_average_and_a_copy_by_state_have_the_mean_of_w():
    G, _ = built()
    ema = EMA(G)
    G(*latents())
    ema.update(G, images=4, seen=4, halflife=1000, ramp=None)
    other, _ = built()
    other.load_state_dict(copy.deepcopy(G.state_dict()))
    assert G.w_mean.abs().sum() > 0
    assert torch.equal(ema.net.w_mean, G.w_mean)
    for net in (G, other):
        net(*latents(seed=2))
    assert torch.equal(G.w_mean, other.w_mean)


@pytest.mark.parametrize(("psi", "share"), [(1.0, 1.0), (0.0, 0.0), (0.5, 0.5)])
def test_truncation_moves_w_to_its_mean(psi, share):
    w, mean = torch.randn(3, 6, 12), torch.randn(12)
    assert_close(stylegan2.truncated(w, mean, psi) - mean, share * (w - mean))


def gradients(net, loss):
    net.zero_grad()
    loss.backward()
    return [p.grad for p in net.parameters()]


def played(checkpointing):
    """The gradients of both players, penalties of the second order included."""
    G, D = built(checkpointing=checkpointing)
    z, y = latents()
    x = loud(G)(z, y).detach().requires_grad_()
    logits = D(x, y)
    of_D = gradients(D, logits.square().sum() + zero_centered(x, logits).sum())
    lengths = path_lengths(G, z, y, torch.ones_like(x))
    of_G = gradients(G, D(G(z, y), y).sum() + (lengths - 0.5).square().sum())
    return [*of_D, *of_G]


def test_checkpointing_changes_no_gradient_and_keeps_less():
    for a, b in zip(played(True), played(False), strict=True):
        assert_close(a, b)
    kept = [0, 0]
    for checkpointing in (0, 1):
        G, _ = built(64, checkpointing=bool(checkpointing))

        def count(t, i=checkpointing):
            kept[i] += t.numel()
            return t

        with torch.autograd.graph.saved_tensors_hooks(count, lambda t: t):
            G(*latents())
    assert kept[1] < 0.5 * kept[0]


def test_at_the_start_w_has_unit_variance_and_a_slow_layer_learns_slowly():
    layer = Linear(256, 64, rate=0.01)
    init.normal(stylegan2.starts(layer), torch.Generator().manual_seed(7))
    fast = Linear(256, 64)
    init.normal(stylegan2.starts(fast), torch.Generator().manual_seed(7))
    x = torch.randn(64, 256)
    assert_close(layer(x), fast(x))
    assert layer(x).var().item() == pytest.approx(1, rel=0.1)
    moved = []
    for net in (layer, fast):
        before = net(x).detach()
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
        net(x).sum().backward()
        optimizer.step()
        moved.append((net(x) - before).norm().item())
    assert moved[0] == pytest.approx(0.01 * moved[1], rel=0.01)


@pytest.mark.parametrize("inputs", [64, 512])
def test_a_step_of_Adam_moves_a_layer_by_the_root_of_its_inputs_so_that_narrow_nets_learn_more_slowly(inputs):
    """Each weight moves by the rate, and all of them the same way: inputs * rate / sqrt(inputs)."""
    layer, x = Linear(inputs, 3), torch.ones(1, inputs)
    init.normal(stylegan2.starts(layer), torch.Generator().manual_seed(7))
    layer.bias.requires_grad_(False)
    before = layer(x).detach()
    optimizer = torch.optim.Adam([layer.weight], lr=1e-3, betas=(0.0, 0.99))
    layer(x).sum().backward()
    optimizer.step()
    assert_close(before - layer(x), torch.full((1, 3), 1e-3 * inputs**0.5), rtol=1e-3, atol=0)


def test_all_that_is_drawn_is_drawn_from_the_seed():
    (G, D), (again, _) = built(classes=3), built(classes=3)
    assert all(torch.equal(a, b) for a, b in zip(G.state_dict().values(), again.state_dict().values(), strict=True))
    for net in (G, D):
        drawn = {id(t) for t, _ in stylegan2.starts(net)}
        assert drawn >= {id(p) for p in net.parameters() if p.ndim > 1}
    tiles = [m.tile for m in G.modules() if isinstance(m, Noise)]
    assert torch.cat([t.flatten() for t in tiles]).std().item() == pytest.approx(1, abs=0.1)


def test_classes_change_both_players():
    G, D = built(classes=5)
    z, x = torch.randn(1, 16).expand(2, -1), torch.randn(1, 3, 16, 16).expand(2, -1, -1, -1)
    y = torch.tensor([1, 4])
    a, b = G(z, y)
    assert not torch.allclose(a, b)
    a, b = D(x, y)
    assert not torch.allclose(a, b)


@pytest.mark.parametrize("shape", [(2,), (3, 24, 24), (3, 32, 16), (3, 4, 4)])
def test_what_is_no_square_image_of_a_power_of_two_is_refused(shape):
    with pytest.raises(ConfigError, match=r"nets\.kind=stylegan2 makes"):
        build.networks(StyleGAN2(), build.Form(shape, 0), seed=0)


def test_the_transposed_convolution_of_torch_is_a_full_convolution():
    """What `by_doubling` takes for granted of the order of the kernel."""
    x, kernel = torch.randn(1, 1, 4, 4).double(), torch.randn(1, 1, 3, 3).double()
    assert_close(conv_transpose2d(x, kernel), conv2d(x, kernel.flip(2, 3), padding=2))

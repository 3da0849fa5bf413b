"""Initial weights. Each function fills the weight matrices and kernels of a network in place, and zeroes its biases
(`torch_default` draws them too).

Everything is drawn from the given generator, so that a network is a function of (config, seed).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

Initializer = Callable[[nn.Module, torch.Generator], None]

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.InstanceNorm2d, nn.LayerNorm, nn.GroupNorm)
LEAKY_SLOPE = 0.2


def torch_default(net: nn.Module, generator: torch.Generator) -> None:
    """PyTorch's own: weights and biases U(-1/sqrt(fan_in), 1/sqrt(fan_in)), drawn from `generator`."""
    for layer in weighted(net):
        bound = 1 / math.sqrt(nn.init._calculate_correct_fan(kernel(layer), "fan_in"))
        nn.init.uniform_(kernel(layer), -bound, bound, generator=generator)
        if (b := bias(layer)) is not None:
            nn.init.uniform_(b, -bound, bound, generator=generator)
    recurrent(net, generator)
    embeddings(net, generator)


def xavier(net: nn.Module, generator: torch.Generator) -> None:
    """Glorot & Bengio 2010, eq. 16 in its normal form: variance 2 / (fan_in + fan_out)."""
    each(net, lambda w: nn.init.xavier_normal_(w, generator=generator), generator)


def he(net: nn.Module, generator: torch.Generator) -> None:
    """He et al. 2015 (arXiv:1502.01852), eq. 15: variance 2 / ((1 + slope^2) fan_in), slope .2."""
    each(net, lambda w: nn.init.kaiming_normal_(w, a=LEAKY_SLOPE, generator=generator), generator)
    for layer in net.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            fan_in = layer.in_channels * math.prod(layer.kernel_size) / math.prod(layer.stride)  # of an output pixel
            std = math.sqrt(2 / ((1 + LEAKY_SLOPE**2) * fan_in))
            nn.init.normal_(kernel(layer), 0, std, generator=generator)


def orthogonal(net: nn.Module, generator: torch.Generator) -> None:
    """Saxe et al. 2013 (arXiv:1312.6120), as used by BigGAN (arXiv:1809.11096)."""
    each(net, lambda w: nn.init.orthogonal_(w, generator=generator), generator)


def normal02(net: nn.Module, generator: torch.Generator) -> None:
    """Radford et al. 2015 (arXiv:1511.06434): N(0, .02); gains of norm layers N(1, .02)."""
    each(net, lambda w: nn.init.normal_(w, 0, 0.02, generator=generator), generator)
    for layer in net.modules():
        if isinstance(layer, NORMS) and layer.weight is not None:
            nn.init.normal_(layer.weight, 1, 0.02, generator=generator)


def lecun(net: nn.Module, generator: torch.Generator) -> None:
    """LeCun et al. 1998 (Efficient BackProp, section 4.6): variance 1 / fan_in; weights that belong to no layer, such
    as R3GAN's 4x4 basis, N(0, 1)."""
    each(net, lambda w: nn.init.kaiming_normal_(w, nonlinearity="linear", generator=generator), generator)
    for module in net.modules():
        if not isinstance(module, (*LINEAR, *NORMS, nn.Embedding)):
            for w in module.parameters(recurse=False):
                if w.ndim > 1:
                    nn.init.normal_(w, generator=generator)


def normal(tensors: Iterable[tuple[Tensor, float]], generator: torch.Generator) -> None:
    """N(0, deviation^2), each tensor with its own: nets that scale their weights where they use them (equalised)."""
    for tensor, deviation in tensors:
        nn.init.normal_(tensor, 0, deviation, generator=generator)


def fixup(branches: Sequence[Sequence[nn.Module]], generator: torch.Generator) -> None:
    """Fix-up for residual branches without norm layers (Zhang et al. 2019, arXiv:1901.09321, section 3).

    `branches` holds the weighted layers of each residual branch. The last layer of a branch starts at zero, the
    m - 1 others are He's, scaled by L^(-1/(2m - 2)) for L branches: no branch moves the output at the start, and
    one step of descent moves it by the learning rate, whatever the depth.
    """
    for branch in branches:
        for layer in branch[:-1]:
            nn.init.kaiming_normal_(kernel(layer), a=LEAKY_SLOPE, generator=generator)
            with torch.no_grad():
                kernel(layer).mul_(len(branches) ** (-1 / (2 * len(branch) - 2)))
        nn.init.zeros_(kernel(branch[-1]))


INITIALIZERS: dict[str, Initializer] = {
    "torch": torch_default,
    "xavier": xavier,
    "he": he,
    "orthogonal": orthogonal,
    "normal02": normal02,
    "lecun": lecun,
}


def each(net: nn.Module, fill: Callable[[Tensor], object], generator: torch.Generator) -> None:
    for layer in weighted(net):
        fill(kernel(layer))
        if (b := bias(layer)) is not None:
            nn.init.zeros_(b)
    embeddings(net, generator)


def weighted(net: nn.Module) -> list[nn.Module]:
    return [layer for layer in net.modules() if isinstance(layer, LINEAR)]


def kernel(layer: nn.Module) -> Tensor:
    assert isinstance(layer.weight, Tensor)
    return layer.weight


def bias(layer: nn.Module) -> Tensor | None:
    assert isinstance(layer.bias, Tensor | None)
    return layer.bias


def recurrent(net: nn.Module, generator: torch.Generator) -> None:
    """PyTorch's own of recurrent nets, U(-1/sqrt(width), 1/sqrt(width)), and of the joint matrix of attention,
    Xavier's."""
    for layer in net.modules():
        if isinstance(layer, nn.LSTM | nn.GRU):
            for w in layer.parameters():
                nn.init.uniform_(w, -(layer.hidden_size**-0.5), layer.hidden_size**-0.5, generator=generator)
        if isinstance(layer, nn.MultiheadAttention):
            nn.init.xavier_uniform_(layer.in_proj_weight, generator=generator)
            nn.init.zeros_(layer.in_proj_bias)


def embeddings(net: nn.Module, generator: torch.Generator) -> None:
    """Class embeddings of unit length on average: N(0, 1 / dim), as R3GAN's."""
    for layer in net.modules():
        if isinstance(layer, nn.Embedding):
            nn.init.normal_(layer.weight, 0, layer.embedding_dim**-0.5, generator=generator)

"""What a net has learned before its game begins: the decoder of records, by an autoencoder.

Choi et al. 2017 (arXiv:1703.06490), section 3.2. It goes on learning in the game, as part of G.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from equipoise import build, init
from equipoise import config as c
from equipoise.data.hooks import Track, untracked
from equipoise.data.source import Source, everything
from equipoise.games.gan import GAN
from equipoise.nets.records import Autoencoder, Generator
from equipoise.streams import Stream

BATCH, LR = 100, 1e-3  # the paper's, and Adam's usual one


def begin(game: build.AnyGame, config: c.TrainConfig, train: Source, track: Track = untracked) -> None:
    """Puts what was learned beforehand into a game at its start: a function of (config, seed, data)."""
    if not isinstance(config.nets, c.RecordNets) or config.start is not None:
        return
    assert isinstance(game, GAN) and isinstance(game.G, Generator) and isinstance(game.ema.net, Generator)
    x = everything(train)[0].to(next(game.G.parameters()).device)
    learned = pretrained(game.G, x, config.nets.pretrain_epochs, config.seed, track).decoder.state_dict()
    for net in (game.G, game.ema.net):
        net.decoder.load_state_dict(learned)


def pretrained(G: Generator, x: Tensor, epochs: int, seed: int, track: Track = untracked) -> Autoencoder:
    """With a decoder like G's, once it has learned to draw records [N, d] again."""
    net, stream = Autoencoder(copy.deepcopy(G.decoder)).to(x.device), Stream(seed, "autoencoder")
    init.xavier(net, stream.at(0))
    optimizer = torch.optim.Adam(net.parameters(), LR, fused=True)
    for epoch in track(range(epochs), "learning to draw records again", epochs):
        order = torch.randperm(len(x), generator=stream.at(1 + epoch))
        for some in torch.split(order, BATCH):
            loss = net.losses(x[some.to(x.device)]).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return net

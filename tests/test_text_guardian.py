"""A game of sentences that is made to collapse is named and brought back; one that is left alone is left alone."""

import pytest
import torch
from torch import nn

from equipoise import generator, launch
from equipoise.configuring import configured
from equipoise.games.textgan import TextGAN
from equipoise.metrics.ngrams import numbered
from equipoise.metrics.wording import repeats
from equipoise.runs.folder import rows
from equipoise.uses.writing import written

WHO = [f"who{i}" for i in range(12)]
DOES = [f"does{i}" for i in range(8)]
WHAT = [f"what{i}" for i in range(12)]
ONE = torch.tensor([22, 2, 10])  # who0 does0 what0: the commonest words come first, then the alphabet


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "lines.txt"
    path.write_text("\n".join(f"{a} {b} {c}" for a in WHO for b in DOES for c in WHAT), encoding="utf-8")
    return path


class LikesOne(nn.Module):
    """A D that takes one sentence for real, and others the more the nearer they are to it."""

    def forward(self, x, y):
        return 4.0 * (x[:, :3] == ONE).sum(1) - 6.0


def played(file, out, guardian, **settings):
    config = configured("text-seqgan", data=str(file), kimg=8, settings=[
        "batch=32", "data.length=4", "nets.z_dim=4", "nets.embedding=12", "nets.g_width=32", "nets.d_filters=4",
        "nets.d_embedding=8", "knobs.d_steps=1", "knobs.g_lr=0.004", "schedules.g_lr={kind: constant}",
        "speech.rollouts=1", "guardian.n=100", "guardian.every_kimg=0.16", f"guardian.mode={guardian}",
        "record.every_kimg=0.16", "samples.every_kimg=100", "save.every_kimg=100", "evaluate.metrics=[]",
        "machine.threads=1", "machine.device=cpu", "machine.precision=fp32", *(f"{k}={v}" for k, v in settings.items()),
    ])  # fmt: skip
    return launch.start(config, out)


def said_again(run):
    lines = written(generator.opened(run.path)[0], 200, seed=1)
    return repeats(numbered([line.split() for line in lines])[0]).value


def symptoms(run):
    return {symptom for row in rows(run.events) if row["kind"] == "look" for symptom in row["ill"]}


def collapsing(monkeypatch):
    """G is rewarded by a D that likes one sentence, whatever the real one says."""
    rewards = TextGAN.rewards

    def rewarded(self, fake, y):
        D, self.D = self.D, LikesOne()
        try:
            return rewards(self, fake, y)
        finally:
            self.D = D

    monkeypatch.setattr(TextGAN, "rewards", rewarded)


@pytest.mark.slow
def test_a_collapse_is_named_and_brought_back(file, tmp_path, monkeypatch):
    collapsing(monkeypatch)
    left = played(file, tmp_path / "left", "watch")
    mended = played(file, tmp_path / "mended", "on")
    assert {"repeated sentences", "shrinking vocabulary"} & symptoms(left)
    assert said_again(left) > 0.7 and said_again(mended) < 0.3
    assert any(row["kind"] == "change" for row in rows(mended.events))


def test_a_game_that_is_well_is_left_alone(file, tmp_path):
    run = played(file, tmp_path / "well", "on")
    assert not [row for row in rows(run.events) if row["kind"] == "change"]
    assert said_again(run) < 0.3

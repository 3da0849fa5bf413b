"""Records from a file to a run, and what is learned before it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from equipoise import build, configuring, generator, launch, pretraining
from equipoise.config import MadeUpRecords, Records, override
from equipoise.data import records
from equipoise.data.source import everything
from equipoise.errors import ConfigError, DataError
from equipoise.nets.records import Discriminator, Generator
from equipoise.recipes import recipe
from equipoise.scoring import Asked, score
from equipoise.uses.keeping import write_samples

SMALL = [
    "nets.z_dim=16", "nets.d_widths=[16]", "nets.pretrain_epochs=1", "batch=100", "evaluate.metrics=[]",
    "guardian.mode=off", "machine.threads=1", "machine.device=cpu", "machine.precision=fp32",
]  # fmt: skip


def file(path, x, **others):
    np.savez(path, x=x, **others)
    return path


# data


def test_made_up_records_have_the_marginals_and_correlations_that_they_should():
    x = records.flags(40_000, torch.Generator().manual_seed(0))
    assert set(x.unique().tolist()) == {0, 1}
    p = records.prevalences()
    assert sorted(p.tolist())[::39] == pytest.approx([0.02, 0.6])
    assert (x.mean(0) - p).abs().max() < 4 * 0.5 / 40_000**0.5
    r = torch.corrcoef(x.T)
    group = torch.arange(40) // 4
    tied = group[:, None] == group
    assert r[~tied].abs().mean() < 0.01
    assert r[tied & ~torch.eye(40, dtype=torch.bool)].min() > 0.08


def test_their_correlation_is_that_of_normals_below_thresholds():
    """P(both) of two columns with p = q is that of the bivariate normal distribution."""
    from scipy.stats import multivariate_normal

    x = records.flags(100_000, torch.Generator().manual_seed(1))
    p = records.prevalences()
    at = torch.special.ndtri(p[:2].double())
    both = multivariate_normal(cov=[[1, records.TIED], [records.TIED, 1]]).cdf(at.numpy())
    assert (x[:, 0] * x[:, 1]).mean().item() == pytest.approx(both, abs=0.002)


def test_patients_are_kept_apart(tmp_path):
    x = np.arange(120).reshape(60, 2) % 5
    splits = build.splits(Records(path=str(file(tmp_path / "r.npz", x, patient=np.arange(60) // 3))))
    parts = [set((part.indices // 3).tolist()) for part in (splits.train, splits.validation, splits.test)]
    assert [len(part) for part in parts] == [16, 2, 2]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert torch.equal(everything(splits.train)[0], torch.from_numpy(x).float()[splits.train.indices])


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.full((9, 3), 0.5), "other numbers than whole ones from 0"),
        (np.full((9, 3), -1), "other numbers than whole ones from 0"),
        (np.full((9, 3), np.nan), "other numbers than whole ones from 0"),
        (np.zeros(9), r"holds no records: .* It holds x float64\[9\]"),
        (np.zeros((9, 3), "U1"), "holds no records"),
    ],
)
def test_other_files_are_refused(x, words, tmp_path):
    with pytest.raises(DataError, match=words):
        records.records(file(tmp_path / "r.npz", x))
    assert DataError.exit_code == 3


def test_records_that_are_not_there_and_one_patient_alone_are_refused(tmp_path):
    with pytest.raises(DataError, match="is not there: records are an"):
        records.records(tmp_path / "r.npz")
    with pytest.raises(DataError, match="only 1 "):
        records.records(file(tmp_path / "r.npz", np.zeros((9, 3)), patient=np.zeros(9, int)))


# nets


@pytest.mark.parametrize("values", ["flags", "counts"])
def test_a_generator_makes_numbers_that_slope_in_training_and_whole_ones_after(values):
    torch.manual_seed(0)
    G = Generator((7,), z_dim=8, values=values)
    z = 3 * torch.randn(20, 8)
    x = G(z, torch.zeros(20))
    assert (x != x.round()).any() and x.min() >= 0
    assert values == "counts" or x.max() <= 1
    whole = G.eval()(z, torch.zeros(20))
    assert torch.equal(whole, whole.round())


def test_a_layer_that_adds_nothing_leaves_z_to_the_decoder():
    G = Generator((5,), z_dim=4)
    for layer in G.layers:
        nn.init.zeros_(layer[0].weight)
    z = torch.randn(6, 4)
    torch.testing.assert_close(G(z, z), G.decoder.linear(z).sigmoid())


def test_D_sees_each_record_beside_the_mean_of_the_batch():
    torch.manual_seed(0)
    D = Discriminator((3,), widths=(8,))
    x, y = torch.rand(6, 3), torch.zeros(6)
    expected = D.layers(torch.cat([x, x.mean(0).repeat(6, 1)], 1))[:, 0]
    torch.testing.assert_close(D(x, y), expected)
    assert not torch.allclose(D(x[:3], y[:3]), expected[:3]), "another batch, another mean"


def test_nets_of_records_take_rows_alone():
    with pytest.raises(ConfigError, match="makes rows"):
        build.networks(recipe("medical-records").nets, build.Form((1, 8, 8), 0), 0)


# what is learned beforehand


def test_the_decoder_learns_to_draw_records_again():
    x = records.flags(1000, torch.Generator().manual_seed(0))[:, :12]
    torch.manual_seed(0)
    G = Generator((12,), z_dim=16)
    before = {name: value.clone() for name, value in G.decoder.state_dict().items()}
    learned, again, untaught = (pretraining.pretrained(G, x, epochs, seed=0) for epochs in (60, 60, 0))
    assert all(map(torch.equal, learned.state_dict().values(), again.state_dict().values()))
    assert all(torch.equal(before[name], value) for name, value in G.decoder.state_dict().items()), "G waits for begin"
    p = x.mean(0)
    entropy = -(p * p.log() + (1 - p) * (1 - p).log()).sum()  # of whoever knows the means alone
    assert learned.losses(x).mean() < 0.6 * entropy
    assert untaught.losses(x).mean() > entropy, "the control"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = configuring.configured("medical-records", settings=[*SMALL, "kimg=1"])
    return launch.start(config, tmp_path_factory.mktemp("runs") / "run")


def test_a_run_begins_with_what_was_learned_and_samples_records(run, tmp_path):
    found = generator.from_file(run.model)
    x = found.sample(50, seed=1)
    assert x.shape == (50, 40) and x.dtype == np.float32
    assert set(np.unique(x)) <= {0, 1}
    with pytest.raises(ConfigError, match="rows of 40 numbers are no picture"):
        write_samples(x, tmp_path / "x.png")
    write_samples(x, tmp_path / "x.npz")
    figures = score(Asked(str(run.path), metrics=["records"], n=500)).figures
    assert list(figures) == ["prevalence_r2", "correlation_error", "tstr_auc", "trtr_auc"]
    assert figures["trtr_auc"].value > 0.6


def test_the_same_seed_gives_the_same_weights(run, tmp_path):
    config = configuring.configured("medical-records", settings=[*SMALL, "kimg=1"])
    again = launch.start(config, tmp_path / "again")
    a, b = (generator.from_file(each.model).G.state_dict() for each in (run, again))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_what_does_not_go_together_is_told():
    config = recipe("medical-records")
    for settings, words in (
        (["knobs.loss=relativistic"], "the mean of the batch"),
        (["guardian.mode=on"], "the mean of the batch"),
        (["data.kind=digits"], "nets.kind=records draws records"),
    ):
        with pytest.raises(ConfigError, match=words):
            override(config, settings)
    assert configuring.configured("medical-records", data="made-up-records").data == MadeUpRecords()

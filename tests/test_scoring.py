"""Whatever is scored, the figures are those of the metrics on these samples, with what they depend on told."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise import build, configuring, generator, launch
from equipoise.config import override
from equipoise.data.digits import digits
from equipoise.data.source import everything, to_uint8
from equipoise.encoders.looked import identity
from equipoise.encoders.random_net import RandomNet
from equipoise.errors import ConfigError, DataError
from equipoise.evaluation import BOUNDS, FAMILIES, FIGURES
from equipoise.figures import MEANINGS
from equipoise.figures import final as final_figures
from equipoise.metrics import frechet_distance, kernel_distance, prdc
from equipoise.recipes import recipe
from equipoise.runs import checkpoint
from equipoise.runs.folder import RunFolder, rows
from equipoise.scoring import DEFAULT, Asked, score
from equipoise.uses import keeping

SMALL = ["nets.g_widths=[12]", "nets.d_widths=[12]", "nets.z_dim=4", "batch=8", "machine.threads=1",
         "machine.device=cpu", "machine.precision=fp32", "evaluate.features=pixels", "evaluate.n=60",
         "evaluate.metrics=[fd]", "save.every_kimg=.1", "record.every_kimg=1", "samples.every_kimg=1"]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    config = override(recipe("digits"), [*SMALL, "kimg=.32", "evaluate.every_kimg=.16"])
    return launch.start(config, tmp_path_factory.mktemp("runs") / "run").path


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def normal(n=300, d=6, seed=0, shift=0.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


def features(name, x):
    np.save(name, x.numpy())
    return name


def images(n=60, side=16, channels=3, seed=0):
    """Ramps of random colours, with noise."""
    draw = np.random.default_rng(seed)
    ramp = np.linspace(0, 200, side)[None, :, None] * draw.random((n, 1, 1, channels))
    return np.clip(ramp + draw.normal(0, 20, (n, side, side, channels)), 0, 255).astype(np.uint8)


def pngs(folder, x):
    for i, image in enumerate(x):
        path = Path(folder, f"{i:04d}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.squeeze()).save(path)
    return folder


def values(found):
    return {name: (e.value, e.low, e.high) for name, e in found.figures.items()}


def test_figures_of_features_are_those_of_the_metrics_alone():
    fake, real = normal(seed=1, shift=0.2), normal(seed=2)
    asked = Asked(features("f.npy", fake), features("r.npy", real), metrics=["fd", "kid", "prdc"])
    found = score(asked).figures
    assert found["fd"].value == frechet_distance(real, fake).value
    assert found["kid"].value == kernel_distance(real, fake).value
    assert [found[name].value for name in FIGURES["prdc"]] == [e.value for e in prdc(real, fake)]
    assert found["fd"].value > score(Asked("r.npy", "r.npy", metrics=["fd"])).figures["fd"].value


def test_figures_of_pictures_are_those_of_the_encoder_and_the_metric_alone():
    a, b = images(seed=1), images(seed=2)
    found = score(Asked(pngs("a", a), pngs("b", b), metrics=["fd"], features="random"))
    look = [RandomNet().look(torch.from_numpy(x).permute(0, 3, 1, 2)).features for x in (b, a)]
    assert found.figures["fd"].value == pytest.approx(frechet_distance(*look).value, rel=1e-6)
    assert found.reference.features == RandomNet().protocol
    assert found.reference.data == {"sha256": found.reference.data["sha256"], "part": "all", "size": 16}


def test_a_folder_a_zip_and_an_array_of_the_same_pictures_have_the_same_figures():
    import zipfile

    x = images()
    pngs("folder", x)
    np.savez("array.npz", x=x)
    with zipfile.ZipFile("pictures.zip", "w") as file:
        for path in sorted(Path("folder").iterdir()):
            file.write(path, path.name)
    np.save("real.npy", images(seed=1))
    found = [score(Asked(what, "real.npy", metrics=["fd", "kid", "prdc"])) for what in ("folder", "pictures.zip",
             "array.npz")]  # fmt: skip
    assert values(found[0]) == values(found[1]) == values(found[2])


def test_a_set_against_itself():
    np.save("x.npy", images(side=16))
    found = score(Asked("x.npy", "x.npy", metrics=["fd", "precision", "ssim", "psnr"])).figures
    assert found["fd"].value == pytest.approx(0, abs=1e-6)
    assert [found[name].value for name in ("precision", "recall", "coverage")] == [1, 1, 1]
    assert found["ssim"].value == pytest.approx(1)
    assert math.isinf(found["psnr"].value)


def test_its_json_is_json_whatever_the_figures_are():
    np.save("x.npy", images())
    found = score(Asked("x.npy", "x.npy", metrics=["fd", "psnr"])).as_json()

    def not_json(name):
        raise AssertionError(name)

    read = json.loads(json.dumps(found), parse_constant=not_json)
    assert read["metrics"]["psnr"]["value"] == "inf", "as in a run's record; float() reads it"
    assert {"value", "low", "high", "n_fake", "n_real", "protocol"} == read["metrics"]["fd"].keys()
    assert read["checkpoint"] is None


def test_a_part_is_that_part_and_a_set_is_all_its_parts():
    train, test = images(50, seed=1), images(30, seed=2)
    np.savez("set.npz", x_train=train, x_test=test)
    np.save("test.npy", test)
    np.save("all.npy", np.concatenate([train, test]))
    np.save("fake.npy", images(40, seed=3))
    np.save("train.npy", train)
    for against, alone, n in (
        ("set.npz#train", "train.npy", 50),
        ("set.npz#test", "test.npy", 30),
        ("set.npz", "all.npy", 80),
        ("set.npz#all", "all.npy", 80),
    ):
        part, whole = (score(Asked("fake.npy", real, metrics=["fd"])).figures["fd"] for real in (against, alone))
        assert (part.value, part.n_real) == (pytest.approx(whole.value, rel=1e-9), n)
    assert score(Asked("set.npz#test", "test.npy", metrics=["fd"])).figures["fd"].value == pytest.approx(0, abs=1e-6)


def test_copies_are_looked_for_beside_the_part_that_was_held_out():
    train, test = images(60, seed=1), images(60, seed=2)
    np.savez("set.npz", x_train=train, x_test=test)
    np.save("copies.npy", train[:40])
    np.save("fresh.npy", images(200, seed=3))
    copied, fresh = (score(Asked(x, "set.npz#test", metrics=["copies"])).figures["copy_rate"]
                     for x in ("copies.npy", "fresh.npy"))  # fmt: skip
    assert copied.value == 1
    assert fresh.value < 0.25
    np.save("train.npy", train)
    assert (
        score(Asked("copies.npy", "fresh.npy", train="train.npy", metrics=["copies"])).figures["copy_rate"].value == 1
    )
    assert "copies" in score(Asked("copies.npy", "fresh.npy")).refused


def test_training_data_that_holds_the_reals_tells_of_no_copies():
    train, test = images(300, seed=1), images(40, seed=2)
    np.savez("set.npz", x_train=train, x_test=test)
    np.save("all.npy", np.concatenate([train, test]))
    np.save("other.npy", images(90, seed=4))
    np.save("copies.npy", train)
    for part, named in (("test", "set.npz"), ("test", "set.npz#train"), ("validation", "set.npz")):
        said = []
        asked = Asked("copies.npy", f"set.npz#{part}", train=named, metrics=["copies"])
        assert score(asked, warn=said.append).figures["copy_rate"].value > 0.85, "but for those that were held out"
        assert any(f"training part of {named}: its {part} part was held out" in text for text in said)
    with pytest.raises(DataError, match="100% of the held-out reals are among the training data"):
        score(Asked("copies.npy", "set.npz#test", train="all.npy", metrics=["copies"]))
    assert score(Asked("copies.npy", "set.npz#test", train="other.npy", metrics=["copies"])).figures["c_t"].value > -3


@pytest.mark.parametrize("name", ["features", "x"])
def test_features_among_other_floats_are_known_by_their_name(name):
    real = normal(60)
    np.savez("named.npz", **{"a": np.zeros((60, 1)), name: real, "z": np.zeros(3)})
    np.save("alone.npy", real)
    assert score(Asked("named.npz", "alone.npy", metrics=["kid"])).figures["kid"].value < 0


def test_floats_that_may_be_anything_are_no_features():
    features("real.npy", normal(60, 4))
    np.savez("statistics.npz", sigma=np.eye(4), mu=np.zeros(4))
    with pytest.raises(DataError, match="2 arrays of floats, sigma, mu: which are the features"):
        score(Asked("statistics.npz", "real.npy", metrics=["kid"]))


def test_the_order_of_samples_does_not_matter_not_even_an_order_by_class():
    classes = torch.cat([normal(100, seed=i, shift=20 * i) for i in range(4)])
    real = torch.cat([normal(25, seed=10 + i, shift=20 * i) for i in range(4)])
    shuffled = classes[torch.randperm(400, generator=torch.Generator().manual_seed(0))]
    asked = [Asked(features(f"{i}.npy", x), features("r.npy", real), metrics=["fd", "prdc"])
             for i, x in enumerate((classes, shuffled))]  # fmt: skip
    ordered, mixed = (score(each).figures for each in asked)
    assert ordered["fd"].value == pytest.approx(mixed["fd"].value, rel=1e-9)
    assert ordered["recall"].value > 0.9 and mixed["recall"].value > 0.9
    assert prdc(real, classes[:100]).recall.value < 0.5, "the control: the first as many are of one class"


def test_more_than_n_samples_are_thinned_and_counted():
    found = score(Asked(features("f.npy", normal(200)), features("r.npy", normal(150, seed=1)), n=50, metrics=["fd"]))
    assert (found.figures["fd"].n_fake, found.figures["fd"].n_real) == (50, 50)


def test_a_run_is_compared_with_the_test_part_of_its_own_data_and_remembers_it(run):
    before = len(rows(RunFolder(run).evaluations))
    found = score(Asked(str(run), n=200, features="pixels", metrics=["fd", "prdc"]))
    assert (found.against, found.reference.data["part"]) == ("digits", "test")
    assert found.reference.data["sha256"] == identity(digits().test)
    assert found.figures["fd"].n_real == 179
    row = rows(RunFolder(run).evaluations)[before]
    assert row["kind"] == "evaluation"
    assert row["metrics"]["fd"]["value"] == found.figures["fd"].value
    assert (row["checkpoint"], row["step"]) == ("best", checkpoint.step_of(checkpoint.newest_first(run / "best")[0]))
    named = [score(Asked(str(run), n=200, features="pixels", metrics=["fd", "prdc"], against=name))
             for name in ("digits", str(run), "digits#test")]  # fmt: skip
    assert all(values(each) == values(found) for each in named)
    assert score(Asked(str(run), "digits#train", n=200, features="pixels", metrics=["fd"])).against == "digits"
    measured = final_figures(RunFolder(run))
    assert measured is not None and "fd" in measured.figures


def test_nothing_is_noted_of_what_was_refused(run):
    before = RunFolder(run).evaluations.read_bytes() if RunFolder(run).evaluations.exists() else b""
    for asked in (Asked(str(run), n=10, metrics=["birthday"], features="pixels"), Asked(str(run), metrics=["ssim"])):
        with pytest.raises(DataError):
            score(asked)
    assert (RunFolder(run).evaluations.read_bytes() if before else b"") == before


def test_pictures_that_a_run_drew_have_the_figures_of_the_run(run):
    trained, _ = generator.opened(run, "last")
    keeping.write_samples(trained.sample(80, seed=3), Path("drawn"))
    keeping.write_samples(trained.sample(80, seed=3), Path("drawn.npz"))
    asked = {"against": "digits#test", "n": 80, "features": "pixels", "metrics": ["fd", "kid", "prdc", "copies"]}
    of_run = score(Asked(str(run), checkpoint="last", seed=3, **asked))
    assert of_run.checkpoint == "last"
    for what in ("drawn", "drawn.npz"):
        assert values(score(Asked(what, **asked))) == values(of_run)
    of_file = score(Asked(str(run / "model.safetensors"), seed=3, **asked))
    assert values(of_file) == values(of_run)
    assert of_file.checkpoint is None
    assert values(score(Asked(str(run), checkpoint="last", seed=4, **asked))) != values(of_run), "the control"


def test_the_data_of_a_run_is_what_others_may_be_scored_against(run):
    x, _ = everything(digits().validation)
    np.save("validation.npy", to_uint8(x).permute(0, 2, 3, 1).numpy())
    asked = {"features": "pixels", "metrics": ["fd", "prdc"]}
    assert values(score(Asked("validation.npy", str(run), **asked))) == values(
        score(Asked("digits#validation", "digits#test", **asked))
    )


def test_a_run_is_looked_at_once_more_in_pictures(run):
    score(Asked(str(run), n=120, features="pixels", metrics=["fd"]))
    assert (run / "figures" / "nearest.png").exists()


def test_a_folder_that_cannot_be_written_to_keeps_nobody_from_the_figures(run, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(RunFolder, "evaluations", property(lambda self: tmp_path))  # a folder, where a file should be
    found = score(Asked(str(run), n=40, features="pixels", metrics=["fd"]), warn=told.append)
    assert found.figures.keys() == {"fd"}
    assert len(told) == 1 and "are not kept" in told[0]


def test_a_damaged_checkpoint_is_told(run, tmp_path):
    import shutil

    shutil.copytree(run, "copy")
    newest = checkpoint.newest_first(Path("copy/checkpoints"))[0]
    (newest / "state.pt").write_bytes(b"torn")
    told = []
    found = score(Asked("copy", n=40, features="pixels", metrics=["fd"], checkpoint="last"), warn=told.append)
    assert found.step is not None and found.step < checkpoint.step_of(newest)
    assert any("damaged" in text for text in told)


def test_points_are_scored_as_they_are(tmp_path):
    config = override(recipe("ring"), [*SMALL, "kimg=.08", "evaluate.every_kimg=.08"])
    launch.start(config, Path("ring"))
    found = score(Asked("ring", n=300))
    assert found.reference.features["name"] == "given"
    assert {"fd", "coverage", "copy_rate", "jsd"} <= found.figures.keys()
    assert {"is", "classes"} == found.refused.keys()


def test_what_a_metric_lacks_is_told_unless_it_was_asked_for():
    few = Asked(features("f.npy", normal(30)), features("r.npy", normal(100, seed=1)))
    found = score(few)
    assert "100" in found.refused["birthday"]
    assert "fd" in found.figures
    with pytest.raises(DataError, match=r"birthday.*100.*30"):
        score(Asked("f.npy", "r.npy", metrics=["birthday"]))
    with pytest.raises(DataError) as error:
        score(Asked("f.npy", "r.npy", metrics=["birthday", "is", "copies", "classes"]))
    assert len(str(error.value).splitlines()) == 3


def test_a_distance_of_too_few_for_a_covariance_is_marked():
    thin, thick = (features(f"{n}.npy", normal(n, 40)) for n in (30, 400))
    assert "without full rank" in score(Asked(thin, thick, metrics=["fd"])).notes[0]
    assert score(Asked(thick, thick, metrics=["fd"])).notes == []


def test_pictures_of_several_sizes_are_told():
    pngs("mixed/16", images(20))
    pngs("mixed/24", images(8, side=24))
    np.save("real.npy", images(30, seed=1))
    told = []
    found = score(Asked("mixed", "real.npy", metrics=["fd"], features="pixels"), warn=told.append)
    assert any("16 to 24" in text for text in told)
    assert found.reference.data["size"] == 16


def test_a_size_that_was_asked_for_is_in_the_protocol():
    np.save("a.npy", images(30))
    np.save("b.npy", images(30, side=32))
    with pytest.raises(DataError, match="--size 16"):
        score(Asked("a.npy", "b.npy"))
    found = score(Asked("a.npy", "b.npy", size=16, metrics=["fd"]))
    assert found.figures["fd"].protocol["data"]["size"] == 16


def test_pairs_are_of_all_samples_in_order():
    x = images(40)
    np.save("x.npy", x)
    np.save("noisy.npy", np.clip(x.astype(int) + np.random.default_rng(0).normal(0, 10, x.shape), 0, 255).astype("u1"))
    kept = score(Asked("noisy.npy", "x.npy", metrics=["psnr"])).figures["psnr"].value
    error = np.square(np.load("noisy.npy", allow_pickle=False).astype(float) - x).mean((1, 2, 3))
    assert kept == pytest.approx(float((10 * np.log10(255**2 / error)).mean()), rel=1e-6)
    assert score(Asked("noisy.npy", "x.npy", metrics=["psnr"], n=20)).figures["psnr"].value == pytest.approx(
        kept, abs=1
    )
    np.save("fewer.npy", x[:39])
    for n in (10, 10_000):
        with pytest.raises(DataError, match="39 samples and 40 reals"):
            score(Asked("fewer.npy", "x.npy", metrics=["ssim"], n=n))


def test_figures_may_be_asked_for_by_their_own_names():
    asked = Asked(features("f.npy", normal()), features("r.npy", normal(seed=1)), metrics=["coverage", "recall", "fd"])
    assert list(score(asked).figures) == [*FIGURES["prdc"], "fd"]
    with pytest.raises(ConfigError, match="inception"):
        score(Asked("f.npy", "r.npy", metrics=["fid"]))


def test_every_figure_has_a_family_a_meaning_and_ends_where_it_must():
    assert FIGURES.keys() == FAMILIES.keys()
    assert {figure for figures in FIGURES.values() for figure in figures} <= set(MEANINGS)
    f, r, t = (features(f"{i}.npy", normal(120, 3, seed=i)) for i in range(3))
    found = score(Asked(f, r, train=t))
    assert set(found.figures) | set(found.refused) >= {"fd", "precision", "jsd", "copy_rate", "two_sample"}
    for name, e in found.figures.items():
        assert any(name in FIGURES[family] for family in DEFAULT)
        least, most = BOUNDS.get(name, (-math.inf, math.inf))
        assert least <= e.value <= most
        assert e.low is None or e.high is None or least <= e.low <= e.value + 1e-9 <= e.high + 2e-9 <= most + 2e-9


def test_few_labelled_pictures_are_seen_by_random_features_unless_a_classifier_is_asked_for():
    x = images(12)
    for i in range(3):
        pngs(f"labelled/{i}", x[4 * i : 4 * i + 4])
    found = score(Asked("labelled", "labelled", metrics=["fd"]))
    assert found.reference.features["name"] == "random"
    with pytest.raises(DataError, match="at least 20"):
        score(Asked("labelled", "labelled", metrics=["fd"], features="classifier"))


def test_a_class_on_its_own_teaches_a_classifier_nothing():
    np.savez("one.npz", x=images(60), y=np.zeros(60, np.int64))
    assert score(Asked("one.npz", "one.npz", metrics=["fd"])).reference.features["name"] == "random"
    with pytest.raises(DataError, match="two classes"):
        score(Asked("one.npz", "one.npz", features="classifier"))


def test_a_run_made_of_pictures_is_scored_against_the_very_split_that_it_was_trained_with():
    pngs("photos", images(60, side=20))
    narrow = ["nets.g_width=4", "nets.d_width=4", "data.size=16"]
    settings = [s for s in SMALL if "widths" not in s and "z_dim" not in s]
    config = override(configuring.configured("dcgan", data="photos"), [*settings, *narrow, "kimg=.02"])
    launch.start(config, Path("run"))
    own = build.splits(config.data)
    found = score(Asked("run", n=40, features="pixels", metrics=["fd"]))
    assert found.reference.data == {"sha256": identity(own.test), "part": "test", "size": 16}
    assert values(score(Asked("run", "photos", n=40, features="pixels", metrics=["fd"]))) == values(found)

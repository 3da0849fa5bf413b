"""Which families say what of which samples, and what is refused."""

import pytest
import torch

from equipoise.encoders.encoder import Look
from equipoise.encoders.given import Given
from equipoise.encoders.pixels import Pixels
from equipoise.errors import DataError
from equipoise.evaluation import FAMILIES, OF_PIXELS, OF_TEXT, PAIRED, Reference, Samples, evaluate, seen_by
from equipoise.figures import MEANINGS
from equipoise.metrics import frechet_distance


def points(n=300, d=4, seed=0, shift=0.0):
    return Samples(Look(shift + torch.randn(n, d, generator=torch.Generator().manual_seed(seed))))


def pictures(n=40, side=16, seed=0, channels=3):
    x = torch.randint(0, 256, (n, channels, side, side), generator=torch.Generator().manual_seed(seed))
    return x.to(torch.uint8)


AGAINST = Reference(points(seed=1), points(600, seed=2), {"name": "given", "dimension": 4}, {"part": "test"})


def test_each_figure_says_which_features_and_which_data_it_is_of():
    figures, refused = evaluate(points(), AGAINST, ["fd", "prdc", "copies"])
    assert refused == {}
    assert {"fd", "precision", "recall", "density", "coverage", "copy_rate", "c_t"} == figures.keys()
    for estimate in figures.values():
        assert estimate.protocol["features"] == {"name": "given", "dimension": 4}
        assert estimate.protocol["data"] == {"part": "test"}
        assert estimate.n_fake == 300


def test_figures_are_those_of_the_metric_alone():
    figures, _ = evaluate(points(), AGAINST, ["fd"])
    assert figures["fd"].value == frechet_distance(AGAINST.real.features, points().features).value


def test_only_features_of_inception_are_called_fid():
    inception = Reference(AGAINST.real, AGAINST.train, {"name": "inception"})
    assert evaluate(points(), inception, ["fd"])[0].keys() == {"fid"}
    assert evaluate(points(), AGAINST, ["fd"])[0].keys() == {"fd"}


def test_precision_and_recall_compare_equal_counts():
    figures, _ = evaluate(points(900), AGAINST, ["prdc"])
    assert (figures["precision"].n_fake, figures["precision"].n_real) == (300, 300)


def test_a_family_that_says_nothing_here_tells_why():
    without_train = Reference(AGAINST.real, None, {"name": "given"})
    figures, refused = evaluate(points(), without_train, ["is", "copies", "swd", "fd", "bins"])
    assert figures.keys() == {"fd", "ndb", "jsd"}
    assert "no classes" in refused["is"]
    assert "--train" in refused["copies"]
    assert "no images" in refused["swd"]


def test_reals_that_are_all_alike_are_no_measure_of_variety():
    alike = Reference(Samples(Look(torch.ones(300, 4))), None, {"name": "given"})
    figures, refused = evaluate(points(), alike, ["vendi", "fd"])
    assert "the reals are all alike" in refused["vendi"]
    assert figures.keys() == {"fd"}


def test_too_few_samples_are_refused_with_the_count_that_is_needed():
    few = Samples(Look(points().features[:4]))
    figures, refused = evaluate(few, AGAINST, ["prdc", "bins"])
    assert figures == {}
    assert "4" in refused["prdc"] and "bins" in refused["bins"]


def test_bins_are_not_fitted_on_the_reals_that_they_compare():
    _, compared = AGAINST.bins
    assert compared is AGAINST.real
    _, half = Reference(AGAINST.real, None, {"name": "given"}).bins
    assert len(half) == 150


def test_a_missing_mode_moves_coverage_and_bins_and_not_precision():
    """The pair of methods.md G.2, on two modes of which the fakes have one."""
    two = torch.cat([points(300, seed=3).features, points(300, seed=4, shift=30).features])
    train = torch.cat([points(600, seed=5).features, points(600, seed=6, shift=30).features])
    against = Reference(Samples(Look(two)), Samples(Look(train)), {"name": "given"})
    both = Samples(Look(torch.cat([points(300, seed=7).features, points(300, seed=8, shift=30).features])))
    one = Samples(Look(torch.cat([points(300, seed=7).features, points(300, seed=8).features])))
    whole, missing = (evaluate(x, against, ["prdc", "bins"])[0] for x in (both, one))
    assert whole["coverage"].value > 0.9 and missing["coverage"].value < 0.6
    assert whole["jsd"].value < 0.1 and missing["jsd"].value > 0.2
    assert abs(whole["precision"].value - missing["precision"].value) < 0.15


def test_paired_figures_of_the_same_pictures():
    x = seen_by(Pixels(), pictures())
    figures, _ = evaluate(x, Reference(x, None, {"name": "pixels"}), ["ssim", "psnr"])
    assert figures["ssim"].value == pytest.approx(1)
    assert figures["psnr"].value == float("inf") and figures["psnr"].protocol["equal_pairs"] == 40


def test_pictures_in_minus_one_to_one_are_judged_as_a_file_would_hold_them():
    x = pictures()
    floats = x.float() / 127.5 - 1 + 0.001
    assert torch.equal(seen_by(Pixels(), floats).pixels, x)


def test_points_are_taken_as_they_are():
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(seen_by(Given(2), x).features, x)


def test_every_list_names_families_and_figures_that_exist():
    assert set(PAIRED) <= set(FAMILIES) and set(OF_PIXELS) <= set(FAMILIES)
    logits = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
    fake = Samples(Look(points().features, logits), pictures(300, 32))
    real = Samples(Look(AGAINST.real.features, logits), pictures(300, 32, seed=1))
    figures, refused = evaluate(fake, Reference(real, AGAINST.train, {"name": "inception"}), list(FAMILIES))
    elsewhere = {"ms_ssim", "pairwise", "records", "style", *OF_TEXT}  # larger pictures, whole numbers, sentences
    assert refused.keys() <= elsewhere
    assert figures.keys() <= set(MEANINGS)  # each is told in words


def test_an_encoder_without_samples_is_an_error():
    with pytest.raises(DataError):
        seen_by(Pixels(), pictures(0))

"""What a run that is finished is asked for: a command that its generator obeys."""

import shlex

import pytest

from equipoise import launch
from equipoise.cli.main import app
from equipoise.reports.story import use_of


@pytest.mark.parametrize(
    ("name", "file"), [("ring", "samples.png"), ("digits", "samples.png"), ("text-mle", "samples.txt"),
                       ("medical-records", "samples.npz")],
)  # fmt: skip
def test_what_is_advised_writes_samples(name, file, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = launch.start(tiny(name, steps=8), tmp_path / "run")
    _, command = use_of(tiny(name), str(run.path))
    assert app(shlex.split(command)[1:], standalone_mode=False) in (None, 0)
    assert (tmp_path / file).stat().st_size > 0


@pytest.mark.parametrize(
    ("name", "verb"),
    [("lesion", "lesion add"), ("text-restyle", "restyle"), ("pix2pix", "translate"), ("denoise", "translate")],
)
def test_what_draws_nothing_by_itself_is_given_something(name, verb, tiny):
    assert use_of(tiny(name), "'my run'")[1].startswith(f"equipoise {verb} 'my run' ")

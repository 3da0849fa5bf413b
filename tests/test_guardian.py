from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from equipoise import Guardian, launch
from equipoise.config import override
from equipoise.controller import HandsOff, Sight
from equipoise.data.digits import digits
from equipoise.data.source import everything, to_uint8
from equipoise.data.toy import ring
from equipoise.diagnosis.finding import Finding
from equipoise.errors import ConfigError, DataError
from equipoise.judging import Nobody
from equipoise.knobs import Knobs
from equipoise.onlookers import Onlookers
from equipoise.processes import Processes
from equipoise.recipes import recipe
from equipoise.runs import folder
from equipoise.runs.folder import RunFolder
from equipoise.training import train

SAMPLES = 300


def points(n: int, seed: int) -> Tensor:
    return ring().sample(n, torch.Generator().manual_seed(seed))[0]


@pytest.fixture(scope="module")
def real() -> Tensor:
    return points(2000, 0)


@pytest.fixture(scope="module")
def held_out() -> Tensor:
    return points(1500, 1)


def mlp(*widths: int) -> nn.Sequential:
    layers = [layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
    return nn.Sequential(*layers[:-1])


def loop(guardian: Guardian, real: Tensor, held_out: Tensor, steps: int, breaks: int) -> Iterator[tuple[int, Finding]]:
    """A plain loop, as anybody would write it. At the step `breaks`, G's samples become one point."""
    torch.manual_seed(0)
    G, D = mlp(2, 64, 64, 2), mlp(2, 64, 64, 1)
    g_opt, d_opt = (torch.optim.Adam(net.parameters(), 2e-3, (0.0, 0.99)) for net in (G, D))
    with torch.no_grad():
        G[-1].weight.mul_(4)
    for step in range(steps):
        if step == breaks:
            with torch.no_grad():
                G[-1].weight.zero_()
        x, fake = real[torch.randint(len(real), (64,))], G(torch.randn(64, 2))
        real_logits, fake_logits = D(x), D(fake.detach())
        d_loss = softplus(fake_logits - real_logits).mean()
        d_opt.zero_grad()
        d_loss.backward()
        d_opt.step()
        g_loss = softplus(D(x).detach() - D(fake)).mean()
        if step < breaks:
            g_opt.zero_grad()
            g_loss.backward()
            g_opt.step()
        finding = guardian.observe(
            step, fake=fake, d_loss=d_loss, g_loss=g_loss, real_logits=real_logits, fake_logits=fake_logits,
            held_out_logits=D(held_out[:64]).detach(),
        )  # fmt: skip
        if finding:
            yield step, finding


def test_a_collapse_in_a_plain_loop_is_named_within_three_looks(real, held_out):
    guardian = Guardian(real, held_out, n=SAMPLES, every=40, burn_in=100)
    found = list(loop(guardian, real, held_out, steps=1400, breaks=1000))
    collapses = [(step, finding) for step, finding in found if finding.symptom == "total collapse"]
    assert not [finding for step, finding in found if step < 1000 and finding.severity == "severe"]
    (step, finding), *_ = collapses
    assert 1000 < step < 1000 + 3 * 50  # 40 steps, and then as many as fill a look
    assert finding.severity == "severe"
    assert finding.verdict == "collapsing"
    assert finding.evidence["apart"] < 0.25
    assert finding.advice
    assert guardian.findings[0].symptom == "total collapse"


def test_real_samples_in_place_of_fakes_are_well(real, held_out):
    guardian = Guardian(real, held_out, n=SAMPLES, every=1, burn_in=0)
    found = [guardian.observe(step, fake=points(SAMPLES, 100 + step)) for step in range(60)]
    assert [finding for finding in found if finding] == []
    assert len(guardian.watch.history) == 60


def test_copies_are_told_from_samples_only_with_held_out_data(real, held_out):
    for others, seen in ((held_out, True), (None, False)):
        guardian = Guardian(real, others, n=SAMPLES, every=1, burn_in=0)
        for step in range(4):
            generator = torch.Generator().manual_seed(step)
            guardian.observe(step, fake=real[torch.randint(len(real), (SAMPLES,), generator=generator)])
        assert ("memorising" in {finding.symptom for finding in guardian.findings}) is seen


def test_fakes_need_not_come_at_each_step(real, held_out):
    """Here never at a step at which a look is due."""
    guardian = Guardian(real, held_out, n=SAMPLES, every=2)
    for step in range(20):
        guardian.observe(step, d_loss=1.0, **({"fake": points(100, step)} if step % 2 == 0 else {}))
    assert guardian.watch.history
    assert all("coverage" in look.signals for look in guardian.watch.history)


def test_looks_change_nothing(real, held_out):
    guardian = Guardian(real, held_out, n=SAMPLES, every=2)
    fake = points(SAMPLES, 5).requires_grad_()
    before, state = fake.detach().clone(), torch.random.get_rng_state()
    for step in range(10):
        guardian.observe(step, fake=fake, d_loss=fake.mean())
    assert torch.equal(fake.detach(), before)
    assert fake.grad is None
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_number_that_is_not_finite_is_told_at_once(real, held_out):
    guardian = Guardian(real, held_out, n=SAMPLES, every=1000)
    assert guardian.observe(0, d_loss=1.0) is None
    finding = guardian.observe(1, d_loss=float("nan"))
    assert finding is not None
    assert (finding.symptom, finding.severity) == ("divergence", "severe")


def test_scalars_on_a_device_that_are_not_finite_are_told_at_the_next_look(real, held_out):
    guardian = Guardian(real, held_out, n=SAMPLES, every=3)
    found = [guardian.observe(step, fake=points(SAMPLES, step), g_loss=torch.tensor(torch.inf)) for step in range(3)]
    assert found[:2] == [None, None]
    assert found[2] is not None
    assert found[2].symptom == "divergence"


def test_samples_that_are_not_finite_are_told_and_not_looked_at(real, held_out):
    guardian = Guardian(real, held_out, n=SAMPLES, every=3)
    fakes = [points(SAMPLES, step) for step in range(6)]
    fakes[5][7, 0] = torch.nan
    found = [guardian.observe(step, fake=fakes[step], g_loss=torch.tensor(1.0)) for step in range(6)]
    assert found[2] is None
    assert found[5] is not None and found[5].symptom == "divergence"


def test_a_tensor_that_is_not_finite_is_answered_in_the_middle_of_a_trial_and_without_fakes(real, held_out):
    """As a float would be: nothing ripens while numbers are no longer finite."""
    guardian, knobs = Guardian(real, held_out, n=SAMPLES, every=3), Knobs(loss="nonsaturating")
    for step in range(60):
        guardian.observe(step, fake=points(SAMPLES, step), g_loss=torch.tensor(1.0))
        guardian.advise(knobs)
    told = [guardian.observe(60 + i, g_loss=torch.tensor(torch.nan if i else 1.0)) for i in range(3)]
    assert [t and t.symptom for t in told] == [None, None, "divergence"]
    change = guardian.advise(knobs)
    assert change is not None and change.back_to in range(60)


def test_images_come_as_arrays_or_tensors():
    x, _ = everything(digits().train)
    pixels = to_uint8(x)
    arrays = Guardian(pixels.permute(0, 2, 3, 1).numpy(), features="pixels", n=50, every=1, burn_in=0)
    tensors = Guardian(x, features="pixels", n=50, every=1, burn_in=0)
    arrays.observe(0, fake=pixels[:50].permute(0, 2, 3, 1).numpy())
    tensors.observe(0, fake=x[:50])
    assert arrays.watch.history == tensors.watch.history
    assert "coverage" in arrays.watch.history[0].signals


def test_too_few_samples_leave_the_players_to_be_watched():
    told: list[str] = []
    guardian = Guardian(points(30, 0), n=SAMPLES, every=1, warn=told.append)
    assert "too few" in told[0]
    guardian.observe(0, fake=points(8, 1), real_logits=torch.ones(40), fake_logits=-torch.ones(40))
    assert guardian.watch.history[0].signals["d_tells"] == 1


def told_by_logits(n, steps, every=10, looks=8, real=0.0):
    """Of a loop whose D scores reals and fakes alike, but for `real`."""
    guardian, found = Guardian(points(30, 0), n=SAMPLES, every=every, burn_in=0), []
    noise = torch.Generator().manual_seed(0)
    for step in range(every * looks):
        logits = {"real_logits": real + torch.randn(n, generator=noise), "fake_logits": torch.randn(n, generator=noise)}
        found.append(guardian.observe(step, **(logits if step % every >= every - steps else {})))
    return guardian, [finding for finding in found if finding]


def test_logits_of_small_batches_count_together_and_of_too_few_nothing_is_said():
    together, _ = told_by_logits(8, steps=5)
    assert len(together.watch.history) == 8
    assert all(abs(look.signals["d_tells"] - 0.5) < 0.25 for look in together.watch.history)
    few, found = told_by_logits(8, steps=3)
    assert all("d_tells" not in look.signals for look in few.watch.history)
    assert not found
    old, _ = told_by_logits(200, steps=10)
    assert not old._logits, "those of the look before are gone"


def test_where_nobody_looked_a_guessing_D_is_a_note_and_an_inverted_one_a_warning():
    _, (guessing, *_) = told_by_logits(100, steps=2)
    assert (guessing.symptom, guessing.severity) == ("D too weak", "note")
    assert "alike, or" in guessing.meaning
    _, (inverted, *_) = told_by_logits(100, steps=2, real=-1.5)
    assert (inverted.symptom, inverted.severity) == ("D too weak", "warning")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"every": 0}, "every=0"),
        ({"labels": np.zeros(3)}, "3 labels"),
        ({"features": "unheard of"}, "unknown features"),
    ],
)
def test_wrong_arguments_are_refused_in_words(wrong, words):
    x, _ = everything(digits().train)
    with pytest.raises((ConfigError, DataError), match=words):
        Guardian(x[:100], **wrong)


def test_samples_of_no_known_shape_are_refused():
    with pytest.raises(ConfigError, match=r"\[10, 3, 4\]"):
        Guardian(torch.zeros(10, 3, 4))


# -- its advice


def test_advice_for_a_loop_that_collapses_is_one_change_at_a_time(real, held_out):
    guardian = Guardian(real, held_out, n=SAMPLES, every=1, burn_in=0)
    knobs, changes = Knobs(loss="nonsaturating"), []
    point = points(1, 5).expand(SAMPLES, 2)
    for step in range(30):
        guardian.observe(step, fake=point + 1e-4 * points(SAMPLES, 100 + step))
        if change := guardian.advise(knobs):
            changes.append((step, change))
            knobs = change.knobs
    first = changes[0][1]
    assert first.reason == "total collapse: the relativistic loss with R1 and R2"
    assert (first.knobs.loss, first.knobs.r1 > 0, first.knobs.r2 > 0) == ("relativistic", True, True)
    assert changes[1][1].reason.startswith("total collapse: undone")
    assert changes[1][1].knobs.loss == "nonsaturating"


def test_advice_is_given_once_for_each_look_and_none_is_needed_by_a_healthy_loop(real, held_out):
    guardian = Guardian(real, held_out, n=SAMPLES, every=1, burn_in=0)
    for step in range(20):
        guardian.observe(step, fake=points(SAMPLES, 100 + step))
        assert guardian.advise(Knobs()) is None
        assert step in guardian.snapshots, "a state that is worth keeping"
    assert len(guardian.snapshots) < 10
    guardian.observe(20, g_loss=float("nan"))
    change = guardian.advise(Knobs())
    assert change.back_to in guardian.snapshots
    assert change.knobs.g_lr < Knobs().g_lr
    assert guardian.advise(Knobs()) is None, "no look was taken since"


# -- in a run


def collapsing(*settings: str):
    config = recipe("stacked-digits-ns")
    return override(
        config,
        [
            "kimg=24", "guardian.every_kimg=1.2", "guardian.features=pixels", "guardian.n=60", "evaluate.metrics=[]",
            "evaluate.every_kimg=24", "evaluate.patience_kimg=24", "machine.device=cpu", "machine.precision=fp32",
            "machine.threads=1", *settings,
        ],
    )  # fmt: skip


def test_a_run_that_collapses_says_so(tmp_path):
    told: list[str] = []

    def report(seen, signals, news=""):
        if news:
            told.append(news)

    def watch(label, total, done):
        return launch.nullcontext(report)

    run = launch.start(collapsing(), tmp_path / "run", watch=watch)
    findings = [row for row in folder.rows(run.events) if row["kind"] == "finding" and row["severity"] != "note"]
    assert findings[0]["symptom"] == "total collapse"
    assert any(text.startswith("severe: total collapse: ") for text in told)
    assert list(run.figures.glob("missing-*.png"))
    kinds = {row["kind"] for row in folder.rows(run.events)}
    assert {"calibration", "look"} <= kinds


@dataclass(frozen=True)
class Recorded(Processes):
    """The leader of two processes that notes what it tells, and the follower that hears it later."""

    said: list[str] = field(default_factory=list)

    def told(self, text: str) -> str:
        if self.leads:
            self.said.append(text)
            return text
        return self.said.pop(0)


class Alarmed(HandsOff):
    """The leader's controller, which finds something at its second look; a follower's must not be asked."""

    looks = 0

    def look(self, game):
        self.looks += 1
        found = Finding("cycling", "warning", {"motion": 1.0}, "the players run after each other", "lower the rates")
        return Sight({"motion": 1.0}, [], [found] if self.looks == 2 else [])


def test_all_processes_hear_the_same_findings(tiny, tmp_path):
    config, said = tiny("digits"), []
    heard: dict[int, list[str]] = {0: [], 1: []}
    for rank in (0, 1):
        run_folder = folder.create("digits", tmp_path / str(rank))
        launch.describe(run_folder, config)
        data = launch.build.splits(config.data)
        controller = Alarmed() if rank == 0 else HandsOff()
        onlookers = Onlookers(config, data, torch.device("cpu"))
        with launch.assembled(config, run_folder, onlookers, controller) as run:
            processes = Recorded(rank, 1, said=said)
            watched = replace(run, processes=processes, judge=Nobody())
            train(watched, lambda seen, signals, news="", rank=rank: heard[rank].append(news) if news else None)
    assert heard[0] == heard[1] == ["warning: cycling: the players run after each other"]
    assert said == []


def test_watching_changes_no_bit_of_the_run(tiny, tmp_path):
    for name in ("digits", "dcgan", "hinge"):
        for mode in ("watch", "off"):
            launch.start(tiny(name, f"guardian.mode={mode}"), tmp_path / f"{name}-{mode}")
        models = [RunFolder(tmp_path / f"{name}-{mode}").model.read_bytes() for mode in ("watch", "off")]
        assert models[0] == models[1]
        signals = [
            [row for row in folder.rows(RunFolder(tmp_path / f"{name}-{mode}").events) if row["kind"] == "signals"]
            for mode in ("watch", "off")
        ]
        assert signals[0] == signals[1]
        assert not [r for r in folder.rows(RunFolder(tmp_path / f"{name}-off").events) if r["kind"] == "look"]

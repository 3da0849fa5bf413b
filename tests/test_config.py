"""Configs: what `--set` accepts, what is refused and in which words, and that a written config reads back."""

import pytest
import yaml
from pydantic import ValidationError

from equipoise.config import (
    DCGAN,
    MLP,
    SGD,
    AdamW,
    Arrays,
    Augmentation,
    Digits,
    Images,
    Optim,
    Pictures,
    RMSprop,
    StackedDigits,
    Toy,
    TrainConfig,
    override,
    read,
    write,
)
from equipoise.errors import ConfigError
from equipoise.knobs import Constant, Knobs, Phases, Slope
from equipoise.recipes import RECIPES, recipe

PLAIN = TrainConfig(recipe="test", kimg=1, data=Digits(), nets=MLP(), knobs=Knobs(loss="nonsaturating"))
CONVOLUTIONAL = PLAIN.model_copy(update={"nets": DCGAN(z_dim=7)})


def written(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def at(config, path):
    for part in path.split("."):
        config = config[part] if isinstance(config, dict) else getattr(config, part)
    return config


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("seed=7", "seed", 7),
        ("batch=64", "batch", 64),
        ("kimg=2.5", "kimg", 2.5),
        ("knobs.r1=0.3", "knobs.r1", 0.3),
        ("knobs.g_lr=2e-4", "knobs.g_lr", 2e-4),  # YAML 1.1 reads 2e-4 as a text
        ("knobs.g_lr=1E3", "knobs.g_lr", 1000),
        ("knobs.ls_targets=[-1, 1, 0]", "knobs.ls_targets", (-1, 1, 0)),
        ("knobs.ema_ramp=null", "knobs.ema_ramp", None),
        ("optim.d.betas=[0, .9]", "optim.d.betas", (0, 0.9)),
        ("optim.g.amsgrad=true", "optim.g.amsgrad", True),
        ("nets.g_widths=[8, 16]", "nets.g_widths", (8, 16)),
        ("nets.d_norm=none", "nets.d_norm", "none"),
        ("save.keep=5", "save.keep", 5),
        ("save.every_kimg=.5", "save.every_kimg", 0.5),
        ("machine.device=cpu", "machine.device", "cpu"),
        ("loss=hinge", "knobs.loss", "hinge"),
        ("optim.g.lr=1e-3", "knobs.g_lr", 1e-3),
        ("optim.d.lr=3e-5", "knobs.d_lr", 3e-5),
        ("knobs={loss: hinge, r1: 2}", "knobs", Knobs(loss="hinge", r1=2)),
    ],
)
def test_an_assignment_changes_its_key_and_no_other(assignment, path, value):
    changed = override(PLAIN, [assignment])
    assert at(changed, path) == value
    top = path.partition(".")[0]
    assert changed.model_copy(update={top: getattr(PLAIN, top)}) == PLAIN


def test_assignments_are_applied_together_and_the_last_one_wins():
    changed = override(PLAIN, ["seed=1", "knobs.r1=0.1", "seed=2"])
    assert (changed.seed, changed.knobs.r1) == (2, 0.1)
    assert override(PLAIN, []) == PLAIN
    assert PLAIN.seed == 0


@pytest.mark.parametrize(
    ("assignment", "meant"),
    [
        ("seeed=1", "seed"),
        ("knobs.r11=1", "knobs.r1"),
        ("knobs.ls_target=[0, 1, 1]", "knobs.ls_targets"),
        ("optim.g.beta=[0, 1]", "optim.g.betas"),
        ("nets.g_witdhs=[3]", "nets.g_widths"),
        ("ema_halflife_kimg=3", "knobs.ema_halflife_kimg"),
        ("machine.thread=2", "machine.threads"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_one(assignment, meant):
    key = assignment.partition("=")[0]
    with pytest.raises(ConfigError) as caught:
        override(PLAIN, [assignment])
    assert str(caught.value) == f"unknown key '{key}': did you mean '{meant}'?"


@pytest.mark.parametrize(
    ("assignment", "section"),
    [("nets.g_width=32", "nets"), ("data.path=photos", "data"), ("optim.g.momentum=.9", "optim.g")],
)
def test_a_key_of_another_kind_is_answered_with_where_to_choose_the_kind(assignment, section):
    with pytest.raises(ConfigError, match=f"belongs to another kind of {section}: see {section}.kind"):
        override(PLAIN, [assignment])


def test_a_key_that_is_near_to_none_is_just_unknown():
    with pytest.raises(ConfigError) as caught:
        override(PLAIN, ["zzz=1"])
    assert str(caught.value) == "unknown key 'zzz'."


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("batch=1", "batch: .*greater than or equal to 2"),
        ("batch=many", "batch: .*integer"),
        ("seed=-1", "seed: "),
        ("seed=null", "seed: "),
        ("kimg=0", "kimg: "),
        ("knobs.r1=-1", "knobs.r1: "),
        ("knobs.r1=.nan", "knobs.r1: "),
        ("loss=hing", "knobs.loss: .*'hinge'"),
        ("data.kind=rnig", "data: .*'ring'"),
        ("nets.g_widths=[]", "nets.g_widths: "),
        ("nets.d_norm=instance", "instance norm needs images with space"),
        ("optim.g.kind=lion", "optim.g: .*'adam'"),
        ("seed", "'seed' is not an assignment"),
        ("=3", "is not an assignment"),
        ("seed=[1", "the value of 'seed' cannot be read"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(assignment, words):
    with pytest.raises(ConfigError, match=words) as caught:
        override(PLAIN, [assignment])
    assert str(caught.value).count("\n") < 3


@pytest.mark.parametrize(
    "assignments",
    [
        ["kimg=.inf"],
        ["knobs.r1=.inf"],
        ["knobs=3", "loss=hinge"],
        ["schedules.d_steps={kind: phases, starts: [0, .5], values: [1, 0]}"],
        ["schedules.d_steps={kind: constant, value: .5}"],
        ["schedules.g_lr={kind: linear, start: -1}"],
        ["schedules.g_lr={kind: linear, start: .inf}"],
        ["knobs.smooth_real=.5", "schedules.smooth_real={kind: linear, start: 1, end: 2}"],
        ["loss=least-squares", "knobs.ls_targets=[0, 1, 0]"],
        ["loss=hinge", "knobs.smooth_real=.1"],
    ],
    ids=lambda assignments: assignments[-1],
)
def test_what_could_only_fail_later_is_refused_at_once(assignments):
    with pytest.raises(ConfigError):
        override(PLAIN, assignments)


@pytest.mark.parametrize(
    ("before", "assignment", "path", "after"),
    [
        (PLAIN, "nets.kind=dcgan", "nets", DCGAN()),
        (CONVOLUTIONAL, "nets.kind=mlp", "nets", MLP()),
        (PLAIN, "data.kind=ring", "data", Toy(kind="ring")),
        (override(PLAIN, ["optim.g.betas=[.5, .9]"]), "optim.g.kind=rmsprop", "optim.g", RMSprop()),
    ],
)
def test_another_kind_starts_from_its_own_defaults(before, assignment, path, after):
    assert at(override(before, [assignment]), path) == after


@pytest.mark.parametrize(
    ("assignments", "path", "after"),
    [
        (["nets.kind=dcgan", "nets.g_width=32"], "nets", DCGAN(g_width=32)),
        (["nets.g_width=32", "nets.kind=dcgan"], "nets", DCGAN(g_width=32)),
        (["data.kind=pictures", "data.path=photos"], "data", Pictures(path="photos")),
        (["optim.g.kind=sgd", "optim.g.momentum=.9"], "optim.g", SGD(momentum=0.9)),
    ],
)
def test_another_kind_takes_its_own_keys(assignments, path, after):
    assert at(override(PLAIN, assignments), path) == after


@pytest.mark.parametrize(
    ("assignments", "name", "schedule"),
    [
        (["schedules.r1={kind: cosine, start: 3e-1}"], "r1", Slope(kind="cosine", start=0.3)),
        (["schedules.r1={kind: linear, start: 1, until: .5}"], "r1", Slope(kind="linear", start=1, until=0.5)),
        (["schedules.r1.kind=constant", "schedules.r1.value=2"], "r1", Constant(value=2)),
        (
            ["schedules.d_steps={kind: phases, starts: [0, .5], values: [1, 5]}"],
            "d_steps",
            Phases(starts=(0, 0.5), values=(1, 5)),
        ),
        (["schedules.g_steps={kind: constant, value: 2}"], "g_steps", Constant(value=2)),
    ],
)
def test_a_schedule_can_be_set(assignments, name, schedule):
    assert override(PLAIN, assignments).schedules == {name: schedule}


def test_schedules_can_be_taken_away():
    assert override(override(PLAIN, ["schedules.r1={kind: cosine, start: 1}"]), ["schedules={}"]) == PLAIN


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("schedules.d_step={kind: constant, value: 1}", "d_step is not a knob with a number: did you mean 'd_steps'"),
        ("schedules.loss={kind: constant, value: 1}", "loss is not a knob with a number"),
        (
            "schedules.d_steps={kind: linear, start: 1, end: 5}",
            "schedules.d_steps holds whole numbers: use kind phases",
        ),
        ("schedules.r1={kind: linear, start: 1, strat: 2}", "unknown key 'schedules.r1.strat'"),
        ("schedules.r1={kind: phases}", "schedules.r1.starts: Field required"),
        ("schedules.r1={kind: linear, start: 1, after: .5, until: .5}", "must come before"),
        ("schedules.r1={kind: steep, start: 1}", "schedules.r1: "),
        ("schedules.r1=3", "schedules.r1: "),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused(assignment, words):
    with pytest.raises(ConfigError, match=words):
        override(PLAIN, [assignment])


PAIRING = ["knobs.r1=1", "knobs.r2=1", "knobs.gp=10", "loss=relativistic"]


@pytest.mark.parametrize("setting", PAIRING)
@pytest.mark.parametrize("nets", ["mlp", "dcgan"])
def test_BatchNorm_in_D_is_refused_with_whatever_looks_at_single_samples(nets, setting):
    with pytest.raises(ConfigError, match="BatchNorm in D mixes the samples of a batch"):
        override(override(PLAIN, [f"nets.kind={nets}"]), ["nets.d_norm=batch", setting])


@pytest.mark.parametrize("setting", PAIRING)
@pytest.mark.parametrize("norm", ["none", "layer", "instance", "spectral"])
def test_other_norms_go_with_every_penalty(norm, setting):
    assert override(CONVOLUTIONAL, [f"nets.d_norm={norm}", setting]).nets.d_norm == norm


def test_BatchNorm_in_G_goes_with_every_penalty():
    assert override(PLAIN, ["nets.g_norm=batch", "knobs.r1=1"]).nets.g_norm == "batch"


def test_BatchNorm_in_D_goes_with_plain_losses():
    assert override(PLAIN, ["nets.d_norm=batch", "loss=nonsaturating"]).nets.d_norm == "batch"


def test_a_critic_without_bound_is_refused():
    with pytest.raises(ConfigError, match="needs a bound on D's slope"):
        override(PLAIN, ["loss=wasserstein"])


@pytest.mark.parametrize("bound", ["knobs.gp=10", "knobs.clip_weights=0.01", "nets.d_norm=spectral"])
def test_a_critic_with_a_bound_is_accepted(bound):
    assert override(PLAIN, ["loss=wasserstein", bound]).knobs.loss == "wasserstein"


EVERYTHING = TrainConfig(
    recipe="test",
    seed=3,
    kimg=12.3456789,
    batch=17,
    data=Pictures(path="some/folder", size=32, augment=Augmentation(flip_x=True, crop=0.1)),
    augment=("flip", "color"),
    nets=DCGAN(d_norm="spectral", conditioning="projection", upsample="transposed"),
    optim=Optim(g=SGD(momentum=0.9, nesterov=True), d=AdamW(betas=(0.1, 0.2))),
    knobs=Knobs(loss="wasserstein", gp=10, ema_ramp=None, g_lr=1e-5),
    schedules={
        "g_lr": Slope(kind="cosine", start=1e-5, after=0.1),
        "d_steps": Phases(starts=(0, 0.5), values=(1, 5)),
        "r1": Constant(value=0.1),
    },
)


@pytest.mark.parametrize(
    "config",
    [
        PLAIN,
        CONVOLUTIONAL,
        EVERYTHING,
        *(
            PLAIN.model_copy(update={"data": data})
            for data in (StackedDigits(), Toy(kind="grid"), Arrays(path="a.npz"))
        ),
        *(make() for make in RECIPES.values()),
    ],
)
def test_a_written_config_reads_back_the_same(config, tmp_path):
    write(config, tmp_path / "config.json")
    again = read(tmp_path / "config.json")
    assert again == config


def test_a_config_by_hand_may_use_the_short_spellings(tmp_path):
    by_hand = written(
        tmp_path,
        "recipe: mine\nkimg: 4e-1\ndata: {kind: ring}\nnets: {kind: mlp, z_dim: 2}\nloss: hinge\n"
        "optim: {g: {kind: sgd, lr: 2e-4}}\n",
    )
    assert read(by_hand) == TrainConfig(
        recipe="mine",
        kimg=0.4,
        data=Toy(kind="ring"),
        nets=MLP(z_dim=2),
        optim=Optim(g=SGD()),
        knobs=Knobs(loss="hinge", g_lr=2e-4),
    )


NEEDED = "recipe: a\nkimg: 1\ndata: {kind: digits}\nnets: {kind: mlp}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no config"),
        ("- a\n- b\n", "holds no config"),
        ("recipe: [1", "cannot be read as a config"),
        ("recipe: \x00", "cannot be read as a config"),
        ("recipe: a\n", "kimg: Field required\ndata: Field required\nnets: Field required"),
        (NEEDED + "sede: 3\n", "unknown key 'sede': did you mean 'seed'?"),
        (NEEDED + "knobs: {r11: 3}\n", "unknown key 'knobs.r11': did you mean 'knobs.r1'?"),
        (NEEDED + "optim: {g: {kind: adam, beta: 2}}\n", "unknown key 'optim.g.beta': did you mean 'optim.g.betas'?"),
        (NEEDED + "knobs: 3\n", "knobs: "),
        (NEEDED + "knobs: 3\nloss: hinge\n", "knobs: "),
    ],
)
def test_a_file_that_is_no_config_is_refused_in_a_few_words(text, words, tmp_path):
    with pytest.raises(ConfigError) as caught:
        read(written(tmp_path, text))
    assert words in str(caught.value)
    assert str(caught.value).count("\n") < 3


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path):
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    for path in (tmp_path / "nothing.json", tmp_path, tmp_path / "picture.png"):
        with pytest.raises(ConfigError, match="cannot be read as a config"):
            read(path)


def test_a_yaml_file_cannot_construct_objects(tmp_path):
    with pytest.raises(ConfigError):
        read(written(tmp_path, "recipe: !!python/object/apply:os.getcwd []\n"))
    with pytest.raises(ConfigError):
        override(PLAIN, ["recipe=!!python/object/apply:os.getcwd []"])


def test_configs_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        PLAIN.seed = 3


def test_the_length_of_a_run_is_counted_in_images():
    assert [override(PLAIN, [f"kimg={k}"]).images for k in ("2.5", "1e-5", "0.128")] == [2500, 1, 128]


def test_yaml_alone_would_take_an_exponent_for_a_text():
    assert yaml.safe_load("2e-4") == "2e-4"


@pytest.mark.parametrize("data", ["digits", "stacked-digits", "pictures", "arrays"])
def test_all_kinds_of_images_can_be_augmented(data):
    kind = f"data={{kind: {data}" + (", path: some" if data in ("pictures", "arrays") else "") + "}"
    changed = override(PLAIN, [kind, "data.augment.flip_x=true", "data.augment.shift=.1", "knobs.augment_p=.4"])
    assert isinstance(changed.data, Images)
    assert changed.data.augment == Augmentation(flip_x=True, shift=0.1)
    assert changed.knobs.augment_p == 0.4


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["knobs.augment_p=1.1"], "knobs.augment_p"),
        (["augment=[blur]"], "augment"),
        (["augment=[ada-blur]"], "augment"),
        (["knobs.augment_target=1"], "knobs.augment_target"),
        (["augment_hears=heldout"], "augment_hears"),
        (["knobs.augment_speed_kimg=0"], "knobs.augment_speed_kimg"),
        (["augment=[]"], "augment"),
        (["data.augment.hue=.6"], "data.augment.hue"),
        (["data.augment.crop=1"], "data.augment.crop"),
        (["data.augment.flipx=true"], "did you mean 'data.augment.flip_x'"),
        (["schedules.augment_p={kind: linear, start: 0, end: 3}", "knobs.augment_p=.5"], "augment_p"),
    ],
)
def test_augmentation_that_does_not_fit_is_refused(assignments, words):
    with pytest.raises(ConfigError, match=words):
        override(PLAIN, assignments)


def test_points_are_not_augmented():
    with pytest.raises(ConfigError, match=r"knobs\.augment_p is for images, and data\.kind=grid has points"):
        override(PLAIN, ["data.kind=grid", "knobs.augment_p=.1"])
    with pytest.raises(ConfigError, match=r"knobs\.augment_target is for images"):
        override(PLAIN, ["data.kind=grid", "knobs.augment_target=.7"])
    with pytest.raises(ConfigError, match=r"data\.augment"):
        override(PLAIN, ["data.kind=grid", "data.augment.flip_x=true"])


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["knobs.path_length=2"], "path_length needs a G with styles: set nets.kind=stylegan2"),
        (["knobs.reconstruction=1"], "reconstruction needs a D with decoders: set nets.kind=fastgan"),
        (["nets.kind=fastgan", "nets.d_norm=batch"], "d_norm"),
        (["nets.kind=stylegan2", "nets.style_mixing=1.5"], "style_mixing"),
    ],
)
def test_penalties_of_nets_that_are_not_there_are_refused(assignments, words):
    with pytest.raises(ConfigError, match=words):
        override(recipe("digits"), assignments)

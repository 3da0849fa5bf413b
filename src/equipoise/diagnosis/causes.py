"""What is known of each symptom: what it means, what to do, and where its sign is described."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from equipoise.diagnosis.finding import Finding

Severity = Literal["note", "warning", "severe"]


class Known(NamedTuple):
    severity: Severity
    meaning: str
    ways: tuple[str, ...]  # out of it, any of which may help, with what they --set; one sets nothing
    source: str

    @property
    def advice(self) -> str:
        return either(self.ways)


KNOWN: Mapping[str, Known] = {
    "divergence": Known(
        "severe", "gradients are many times what they were: the game is about to leave the finite numbers",
        ("halve both learning rates (--set optim.g.lr=... --set optim.d.lr=...)", "set knobs.clip_norm=1",
         "raise knobs.r1 and knobs.r2", "go back to the checkpoint before"),
        "Brock et al. 2019 (arXiv:1809.11096), section 4",
    ),
    "total collapse": Known(
        "severe", "almost all samples are alike",
        ("go back to a checkpoint from before",
         "take a relativistic loss with penalties, which keeps modes apart (--set loss=relativistic --set "
         "knobs.r1=1 --set knobs.r2=1)"),
        "Huang et al. 2024 (arXiv:2501.05441), section 2",
    ),
    "repeated sentences": Known(
        "severe", "G says the same sentences again and again",
        ("go back to a checkpoint from before, at the end of imitation if need be (--checkpoint STEP)",
         "let it imitate beside the game (--set knobs.imitation=1)", "lower knobs.g_lr"),
        "Caccia et al. 2020 (arXiv:1811.02549), section 4",
    ),
    "shrinking vocabulary": Known(
        "warning", "fewer different words are used than before",
        ("let G imitate beside the game (--set knobs.imitation=1)", "lower knobs.temperature",
         "lower knobs.g_lr"),
        "Nie et al. 2019 (RelGAN), section 4.4",
    ),
    "rising self-BLEU": Known(
        "warning", "sentences become more alike than real ones are",
        ("let G imitate beside the game (--set knobs.imitation=1)", "lower knobs.temperature",
         "lower knobs.g_lr"),
        "Zhu et al. 2018 (arXiv:1802.01886), section 3",
    ),
    "partial collapse": Known(
        "severe", "a part of the data is no longer drawn",
        ("go back to a checkpoint from before",
         "use a relativistic loss with R1 and R2 (--set loss=relativistic --set knobs.r1=1 --set knobs.r2=1)",
         "a larger batch", "a lower learning rate"),
        "Richardson and Weiss 2018 (arXiv:1805.12462), section 3",
    ),
    "imbalance": Known(
        "warning", "all of the data is drawn, but some parts too often and others too rarely",
        ("play on while it shrinks", "otherwise a larger batch", "more weight on R1 and R2"),
        "Richardson and Weiss 2018 (arXiv:1805.12462), section 3",
    ),
    "shrinkage": Known(
        "warning", "samples of one kind are more alike than real ones: the variety within modes is lost",
        ("raise knobs.r1 and knobs.r2", "lower knobs.g_lr", "average G for longer (knobs.ema_halflife_kimg)"),
        "Naeem et al. 2020 (arXiv:2002.09797), section 3",
    ),
    "quality loss": Known(
        "warning", "fewer samples look like the data than before",
        ("use the best checkpoint (--checkpoint best)", "lower both learning rates",
         "let them sink (schedules)"),
        "Kynkaanniemi et al. 2019 (arXiv:1904.06991), section 3",
    ),
    "labels ignored": Known(
        "warning", "samples are not of the class that was asked for: G does not heed its labels",
        ("have D judge samples by their label (--set nets.conditioning=projection)", "train for longer"),
        "Shmelkov et al. 2018 (arXiv:1807.09499), GAN-test",
    ),
    "D overfitting": Known(
        "warning", "D knows its training data by heart: it scores it above other real data",
        ("augment in front of D (--set knobs.augment_p=.3)", "raise knobs.r1", "collect more data"),
        "Karras et al. 2020 (arXiv:2006.06676), section 2",
    ),
    "memorising": Known(
        "severe", "samples are copies of training images",
        ("collect more data", "augment in front of D (--set knobs.augment_p=.3)",
         "stop earlier; do not share this generator where the data is private"),
        "Meehan et al. 2020 (arXiv:2004.05675), section 3",
    ),
    "D too strong": Known(
        "warning", "D tells every fake from every real, and the samples do not become better",
        ("lower knobs.d_lr", "raise knobs.r1", "use spectral norm in D (--set nets.d_norm=spectral)"),
        "Arjovsky and Bottou 2017 (arXiv:1701.04862), section 2",
    ),
    "D too weak": Known(
        "warning", "D does not tell fakes from reals, although they differ: G learns nothing from it",
        ("raise knobs.d_lr or knobs.d_steps", "lower knobs.r1 and knobs.r2", "give D more width"),
        "Karras et al. 2020 (arXiv:2006.06676), section 2",
    ),
    "cycling": Known(
        "warning", "the same latents keep giving other samples: the players run after each other",
        ("lower both learning rates", "set beta1 of Adam to 0", "raise knobs.r1 and knobs.r2"),
        "Mescheder et al. 2018 (arXiv:1801.04406), section 2",
    ),
    "vanishing gradients": Known(
        "warning", "G is hardly moved any more",
        ("use a loss that does not saturate (--set loss=nonsaturating or relativistic)", "lower knobs.d_lr"),
        "Arjovsky and Bottou 2017 (arXiv:1701.04862), theorem 2.4",
    ),
    "exploding gradients": Known(
        "warning", "gradients are ten times what they were, and stay so",
        ("lower the learning rates", "set knobs.clip_norm", "raise knobs.r1 and knobs.r2"),
        "Huang et al. 2024 (arXiv:2501.05441), section 2",
    ),
    "dead units": Known(
        "warning", "most units of a network answer nothing to a whole batch",
        ("lower its learning rate", "take leaky rectifiers, which do not die (--set nets.g_act=leaky-relu)"),
        "Maas et al. 2013, section 2",
    ),
    "data too sparse": Known(
        "note", "so few images are learnt by heart soon",
        ("augment in front of D (--set knobs.augment_p=.3)", "stop when the samples no longer gain"),
        "Karras et al. 2020 (arXiv:2006.06676), section 2",
    ),
    "data imbalanced": Known(
        "note", "rare classes are lost first",
        ("collect more of them",
         "condition on the class (--set nets.conditioning=projection or concatenation or auxiliary)"),
        "Richardson and Weiss 2018 (arXiv:1805.12462), section 3",
    ),
    "batch too small": Known(
        "note", "a batch meets only a part of the classes, so that D sees few of them at a time",
        ("raise batch, if memory allows",),
        "Lin et al. 2018 (arXiv:1712.04086), section 3",
    ),
}  # fmt: skip


def either(ways: Sequence[str]) -> str:
    *others, last = ways
    return last if not others else f"{', '.join(others)}, or {last}"


def found(symptom: str, evidence: Mapping[str, float], meaning: str = "") -> Finding:
    known = KNOWN[symptom]
    return Finding(symptom, known.severity, dict(evidence), meaning or known.meaning, known.advice, known.source)

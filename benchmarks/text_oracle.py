"""python benchmarks/text_oracle.py [--arm ARM] [--small] [--record NAME]    the synthetic task of SeqGAN.

An LSTM with weights N(0, 1) says 10,000 sentences of 20 tokens out of 5,000 (SeqGAN, section 4); each arm learns from
them. NLL_oracle: how unlikely its sentences are for the LSTM, in nats a token; NLL_gen: how unlikely held-out sentences
are for the arm. What counts are the gaps to `mle`. The published 10.310 (random), 9.038 (MLE), 8.736 (SeqGAN) and 6.680
(RelGAN) are of another LSTM, and are not comparable.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from record import Record

from equipoise import generator, launch
from equipoise.config import TrainConfig
from equipoise.configuring import configured
from equipoise.games.textgan import surprise
from equipoise.nets.language import Generator
from equipoise.streams import Stream
from equipoise.uses.writing import written

# (recipe, kimg, part that imitates, part in which D then learns alone)
ARMS = {
    "random": ("text-mle", 0.064, 1.0, 0.0), "mle": ("text-mle", 100.0, 1.0, 0.0),
    "relgan": ("text-relgan", 120.0, 0.83, 0.0), "seqgan": ("text-seqgan", 140.0, 0.715, 0.05),
}  # fmt: skip
SEEDS = (0, 1, 2)
TINY = 2.0  # kimg, to see that it runs


@dataclass(frozen=True)
class Task:
    words: int = 5000
    length: int = 20
    sentences: int = 10_000
    width: int = 32

    def oracle(self) -> Generator:
        G = Generator(self.words + 1, self.length, embedding=self.width, width=self.width, cell="lstm")
        draw = Stream(0, "oracle").at(0)
        with torch.no_grad():
            for p in G.parameters():
                torch.nn.init.normal_(p, generator=draw)
            G.out.bias[0] = -torch.inf  # its sentences have no end before the last token
        return G

    def said(self, index: int, n: int) -> torch.Tensor:
        """Sentences of the oracle. [n, length]."""
        z = torch.randn(n, self.length, generator=Stream(0, "said").at(index))
        found = [self.oracle()(part, torch.zeros(len(part), dtype=torch.long)) for part in z.split(500)]
        return torch.cat(found)


def trained(arm: str, task: Task, seed: int, small: bool, folder: Path) -> generator.TrainedGenerator:
    file = folder / "oracle.txt"
    if not file.exists():
        lines = (" ".join(map(str, row)) for row in task.said(0, task.sentences).tolist())
        file.write_text("\n".join(lines))
    length = [f"data.length={task.length}", f"nets.z_dim={task.length}", f"data.words={task.words + 2}"]
    slim = ["nets.embedding=32", "nets.g_width=32", "guardian.mode=off", "evaluate.metrics=[]", "machine.threads=1"]
    recipe, kimg, imitates, alone = ARMS[arm]
    brief = [f"speech.imitates={imitates}", f"speech.alone={alone}", "speech.rollouts=4"]
    config: TrainConfig = configured(
        recipe, data=str(file), kimg=min(kimg, TINY) if small else kimg, seed=seed, settings=[*length, *slim, *brief]
    )
    if arm == "random":  # weights as they are drawn
        config = config.model_copy(update={"knobs": config.knobs.model_copy(update={"g_lr": 0.0})})
    run = launch.start(config, folder / f"{arm}-{seed}")
    return generator.opened(run.path)[0]


@torch.no_grad()
def nll_oracle(task: Task, lines: list[str]) -> tuple[float, int]:
    """Nats a token, and how many sentences cannot be the oracle's: too short, or with an unknown token."""
    sentences = [[int(token) for token in line.split()] for line in lines if "?" not in line]
    whole = [sentence for sentence in sentences if len(sentence) == task.length]
    x = torch.tensor(whole)
    nats = [surprise(task.oracle(), part, torch.zeros(len(part), dtype=torch.long)) for part in x.split(500)]
    return float(torch.cat(nats).mean()), len(lines) - len(whole)


@torch.no_grad()
def nll_gen(task: Task, known: generator.TrainedGenerator) -> float:
    """Of held-out sentences of the oracle, nats a token."""
    assert known.form.vocabulary is not None
    lines = [" ".join(map(str, row)) for row in task.said(1, 1000).tolist()]
    x = torch.tensor([known.form.vocabulary.encode(line) for line in lines])
    nats = [surprise(known.G, part, torch.zeros(len(part), dtype=torch.long)) for part in x.split(500)]  # type: ignore[arg-type]
    return float(torch.cat(nats).mean())


def measure(record: Record, arm: str, task: Task, seed: int, small: bool, n: int) -> None:
    key = {"arm": arm, "seed": seed, "words": task.words, "kimg": ARMS[arm][1]}
    if record.has(key):
        return
    with tempfile.TemporaryDirectory() as folder:
        known = trained(arm, task, seed, small, Path(folder))
        nats, strange = nll_oracle(task, written(known, n, seed=seed))
        row = record.append(
            key, nll_oracle=round(nats, 3), nll_gen=round(nll_gen(task, known), 3), strange=strange, sentences=n
        )
    base = [r["nll_oracle"] for r in record.rows() if r["key"] == key | {"arm": "mle", "kimg": ARMS["mle"][1]}]
    gap = f", {row['nll_oracle'] - base[0]:+.3f} from mle" if base else ""
    print(f"{arm:7s} seed {seed}: NLL_oracle {row['nll_oracle']:.3f}{gap}, NLL_gen {row['nll_gen']:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--arm", choices=ARMS, action="append")
    parser.add_argument("--small", action="store_true", help="50 tokens, 8 in a sentence: to see that it runs")
    parser.add_argument("--record", default="text_oracle")
    given = parser.parse_args()
    torch.set_num_threads(1)
    task = Task(words=50, length=8, sentences=500, width=8) if given.small else Task()
    for arm in given.arm or ("mle", "random", "relgan", "seqgan"):
        for seed in SEEDS[:1] if given.small else SEEDS:
            measure(Record(given.record), arm, task, seed, given.small, 200 if given.small else 5000)


if __name__ == "__main__":
    main()

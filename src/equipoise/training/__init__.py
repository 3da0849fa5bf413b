"""A run in progress: the loop, what it sees, how it is changed, asked and saved."""

from equipoise.training.changing import COUNTERS, go_back
from equipoise.training.loop import train
from equipoise.training.run import Plan, Run, Standing

__all__ = ["COUNTERS", "Plan", "Run", "Standing", "go_back", "train"]

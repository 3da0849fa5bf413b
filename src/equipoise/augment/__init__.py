"""Augmentation: of the data set, which G learns to imitate, and in front of D, which G should not see."""

from equipoise.augment.ada import ADA_COLUMNS as ADA_COLUMNS
from equipoise.augment.ada import ADA_LAYOUT as ADA_LAYOUT
from equipoise.augment.ada import ada_augment as ada_augment
from equipoise.augment.data import DATA_LAYOUT as DATA_LAYOUT
from equipoise.augment.data import Ranges as Ranges
from equipoise.augment.data import varied as varied
from equipoise.augment.diffaugment import D_LAYOUT as D_LAYOUT
from equipoise.augment.diffaugment import diff_augment as diff_augment
from equipoise.augment.diffaugment import seen_again as seen_again
from equipoise.augment.draws import BLOCK as BLOCK
from equipoise.augment.draws import COLUMNS as COLUMNS
from equipoise.augment.draws import draws as draws
from equipoise.augment.draws import rows as rows

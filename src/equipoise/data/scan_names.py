"""What the names of scans say: the official part, which are label maps, and whose a volume is. No torch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from equipoise.data.hooks import Warn
from equipoise.data.layout import PartName, heads, layout, official, part_of
from equipoise.data.survey import shown

SUFFIX = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
MAPS = re.compile(r"(labels?|masks?|seg).*", re.IGNORECASE)  # labelsTr, masks, segmentations
MAP = re.compile(r".+[-_](labels?|masks?|d?seg)", re.IGNORECASE)  # BraTS_001_seg, sub-01_space-T1w_dseg
IMAGES = re.compile(r"images?([-_ ]?(tr|ts|val))?", re.IGNORECASE)
BIDS = "sub-"


def folders_of(file: Path, home: Path) -> tuple[str, ...]:
    return file.relative_to(home).parts[:-1] if file != home else ()


def stem(file: Path) -> str:
    return SUFFIX.sub("", file.name)


def is_map(file: Path, home: Path) -> bool:
    return any(MAPS.fullmatch(folder) for folder in folders_of(file, home)) or bool(MAP.fullmatch(stem(file)))


def to_learn_from(files: Sequence[Path], home: Path, warn: Warn) -> dict[Path, PartName | None]:
    """The scans that are learnt from, each with its official part (None where there are none). Label maps beside them,
    and scans beside official parts, are left out, and told to `warn`.
    """
    scans = [file for file in files if not is_map(file, home)] or list(files)
    if maps := len(files) - len(scans):
        places = Counter("/".join(folders_of(file, home)) or "." for file in files if is_map(file, home))
        warn(shown(f"{home}: {maps} label maps beside the scans are left out, in {', '.join(list(places)[:4])}."))
    names = {file.relative_to(home).as_posix() if file != home else file.name: file for file in scans}
    kept, said = official(list(names), "scans")
    if said:
        warn(shown(f"{home}: {said}"))
    part_at = {i: part for part, indices in layout(kept).parts.items() for i in indices.tolist()}
    return {names[name]: part_at.get(i) for i, name in enumerate(kept)}


def patients(files: Sequence[Path], home: Path) -> dict[Path, str]:
    """Whose volumes are: of BIDS sub-..; otherwise the first folder, below those of official parts and images; where
    that leaves none, by their names.
    """
    folders = dict(zip(files, own_folders([folders_of(file, home) for file in files]), strict=True))
    alone = [file for file in files if not folders[file]]
    by_name = dict(zip(alone, named([stem(file) for file in alone]), strict=True))
    return {
        file: next((folder for folder in path if folder.startswith(BIDS)), path[0]) if path else by_name[file]
        for file, path in folders.items()
    }


def own_folders(paths: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Without those of official parts and what holds them, and without folders of images."""
    depth, parts = heads(["/".join([*path, ""]) for path in paths])
    below = depth + 1 if "train" in parts.values() and None not in parts.values() else 0
    cut = [path[below:] if below else path[1:] if path and part_of(path[0]) else path for path in paths]
    return [path[1:] if path and IMAGES.fullmatch(path[0]) else path for path in cut]


def named(stems: Sequence[str]) -> list[str]:
    """Names up to the first _ (sub-01_T1w), which is BIDS's; up to a number where the words before it hold none and are
    those of all (hippocampus_001, la_003_0000): they say nothing.
    """
    words, found = [stem.split("_") for stem in stems], []
    for own in words:
        at = next((i for i, word in enumerate(own) if word.isdecimal()), 0)
        shared = own[:at] == min(words)[:at] == max(words)[:at]  # by all between them, too
        says_nothing = shared and not re.search(r"\d", "".join(own[:at]))
        found.append("_".join(own[: at + 1]) if says_nothing else own[0])
    return found

"""What the names of pictures say about classes and official parts."""

import numpy as np
import pytest

from equipoise.data.layout import layout, official

BOTH = ["cat/1.png", "dog/1.png"]


def described(names):
    found = layout(names)
    labels = None if found.labels is None else found.labels.tolist()
    return labels, list(found.class_names), {name: i.tolist() for name, i in found.parts.items()}


@pytest.mark.parametrize(
    ("names", "labels", "classes"),
    [
        (["1.png", "2.png"], None, []),
        (["b/1.png", "a/1.png", "b/2.png"], [1, 0, 1], ["a", "b"]),
        (["a/1.png", "2.png"], None, []),
        (["set/b/1.png", "set/a/x/1.png"], [1, 0], ["a", "b"]),
        (["set/1.png", "set/2.png"], None, []),
        (["train/1.png", "car/1.png"], [1, 0], ["car", "train"]),
        (["test/1.png", "car/1.png"], [1, 0], ["car", "test"]),
    ],
)
def test_the_first_folder_is_the_class_when_every_picture_lies_in_one(names, labels, classes):
    assert described(names) == (labels, classes, {})


@pytest.mark.parametrize("root", ["", "cifar/"])
@pytest.mark.parametrize("validation", ["val", "valid", "Validation", "dev", "valid_set"])
def test_official_parts_are_kept_apart(root, validation):
    names = [f"{root}{part}/{name}" for part in (validation, "test", "train") for name in BOTH]
    parts = {"train": [4, 5], "validation": [0, 1], "test": [2, 3]}
    assert described(names) == ([0, 1] * 3, ["cat", "dog"], parts)


def test_parts_without_classes_and_classes_that_only_the_test_has():
    assert described(["test/1.png", "train/1.png"]) == (None, [], {"train": [1], "validation": [], "test": [0]})
    labels, classes, _ = described(["test/dog/1.png", "train/cat/1.png"])
    assert (labels, classes) == ([1, 0], ["cat", "dog"])


@pytest.mark.parametrize(
    ("train", "test"),
    [("Training", "testing"), ("training_set", "Test_set"), ("train", "TestSet"), ("imagesTr", "imagesTs")],
)
def test_parts_are_known_by_the_names_that_sets_have(train, test):
    names = [f"{part}/{name}" for part in (test, train) for name in BOTH]
    assert described(names) == ([0, 1, 0, 1], ["cat", "dog"], {"train": [2, 3], "validation": [], "test": [0, 1]})


@pytest.mark.parametrize("root", ["", "cifar/"])
def test_what_lies_beside_official_parts_is_left_out_and_told(root):
    kept = [f"{root}{part}/{name}" for part in ("test", "train") for name in BOTH]
    beside = [f"{root}preview.png", f"{root}unlabeled/1.png", f"{root}unlabeled/2.png"]
    names, said = official([*beside, *kept])
    assert names == kept
    assert said.startswith("3 of 7 pictures") and f"{root}preview.png, {root}unlabeled/ (2)." in said


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["a/1.png", "2.png"],
        ["train/cat/1.png", "preview.png"],
        ["train/1.png", "car/1.png"],
        ["test/1.png", "car/1.png", "2.png"],
        ["train/cat/1.png", "test/cat/1.png"],
    ],
)
def test_without_a_train_and_another_part_nothing_is_left_out(names):
    assert official(names) == (names, "")


def test_labels_that_not_every_part_has_are_missed_aloud():
    names = ["test/1.png", *(f"train/{name}" for name in BOTH)]
    assert "1 of 3 pictures lie in no folder of a class, such as test/1.png" in layout(names).note
    assert layout(BOTH).note == layout(["1.png", "2.png"]).note == layout(["a/1.png", "2.png"]).note == ""


def test_labels_are_whole_numbers_of_64_bits():
    assert layout(BOTH).labels.dtype == np.int64

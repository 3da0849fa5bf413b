"""Sentences from files: what is kept, what is told, and what is refused."""

import pytest
import torch

from equipoise.data.text import is_text, text
from equipoise.data.vocabulary import UNKNOWN, Vocabulary, learnt
from equipoise.errors import DataError

LINES = [
    f"a {colour} {thing} sits here ." for colour in ("red", "blue", "old", "new") for thing in ("cat", "dog", "car")
]


def written(path, lines, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


@pytest.mark.parametrize("by", ["word", "character", "bpe"])
def test_what_is_decoded_is_what_was_written(tmp_path, by):
    if by == "bpe":
        pytest.importorskip("tokenizers")
    lines = [*LINES, "ein größeres Wort steht hier"]
    vocabulary = learnt(by, lines, 200)
    for line in lines:
        assert vocabulary.decode([*vocabulary.encode(line), 0, 5]) == line
    assert Vocabulary.of(vocabulary.facts()) == vocabulary
    assert learnt(by, lines, 200) == vocabulary


def test_chinese_by_character():
    lines = ["床前明月光", "疑是地上霜", "举头望明月", "低头思故乡"]
    vocabulary = learnt("character", lines, 100)
    assert len(vocabulary.encode(lines[0])) == 5
    assert vocabulary.decode(vocabulary.encode(lines[1])) == lines[1]


def test_rare_words_are_unknown_and_counted(tmp_path):
    heard = []
    splits = text(written(tmp_path / "a.txt", LINES), "word", 6, 8, heard.append)
    assert len(splits.vocabulary) == 6
    x = torch.cat([part.take(torch.arange(len(part)))[0] for part in (splits.train, splits.validation, splits.test)])
    assert any(f"{int((x == UNKNOWN).sum())} tokens" in line for line in heard)


def test_empty_and_long_lines_are_told(tmp_path):
    heard = []
    splits = text(written(tmp_path / "a.txt", [*LINES, "", "  ", "x " * 50, ""]), "word", 100, 8, heard.append)
    assert len(splits.train) + len(splits.validation) + len(splits.test) == len(LINES) + 1
    assert "2 of 16 lines are empty" in heard[0]
    assert "1 of 13 sentences have more than 8 tokens (up to 50): they are cut" in heard[1]


def test_files_are_classes_and_parts_are_kept(tmp_path):
    for part, lines in (("train", LINES), ("test", LINES[:11])):
        written(tmp_path / part / "calm.txt", lines)
        written(tmp_path / part / "loud.txt", [line.upper() for line in lines])
    splits = text(tmp_path, "word", 100, 8)
    assert splits.class_names == ["calm", "loud"] and splits.train.classes == 2
    x, y = splits.test.take(torch.arange(len(splits.test)))
    assert splits.vocabulary.lines(x)[:11] == LINES[:11] and y.tolist() == [0] * 11 + [1] * 11
    assert is_text(splits.train)


def test_the_same_file_makes_the_same_set_and_another_another(tmp_path):
    a, b = (text(written(tmp_path / f"{i}.txt", lines), "word", 99, 8) for i, lines in enumerate((LINES, LINES[::-1])))
    assert a.sha256() == text(tmp_path / "0.txt", "word", 99, 8).sha256() != b.sha256()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\x89PNG\0\0" * 30, "holds zero bytes"),
        ("\n".join(LINES).encode("utf-16"), "UTF-16"),
        ("\n".join([*LINES, "café"]).encode("latin-1"), r"line 13 has the byte 0xe9"),
        (b"one\ntwo\n", r"2 sentence\(s\)"),
        (b"", r"0 sentence\(s\)"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, raw, said):
    (tmp_path / "a.txt").write_bytes(raw)
    with pytest.raises(DataError, match=said):
        text(tmp_path / "a.txt", "word", 100, 8)


def test_parts_with_other_classes_are_refused(tmp_path):
    written(tmp_path / "train" / "calm.txt", LINES)
    written(tmp_path / "test" / "loud.txt", LINES)
    with pytest.raises(DataError, match="Each part needs the same files"):
        text(tmp_path, "word", 100, 8)

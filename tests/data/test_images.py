"""Pictures of every sort arrive with their shape and values; what is no picture is refused by name."""

import re
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise.data.arrays import arrays
from equipoise.data.decode import default_size
from equipoise.data.images import pictures as folder
from equipoise.data.source import everything, to_uint8
from equipoise.errors import DataError

LEVELS = np.arange(0, 256, 4, dtype=np.uint8).reshape(8, 8)  # 0 .. 252
COLOURS = np.stack([LEVELS, 255 - LEVELS, np.full_like(LEVELS, 77)], axis=2)


def together(splits):
    """All images of a split as uint8 [N, C, H, W]."""
    return to_uint8(torch.cat([everything(part)[0] for part in (splits.train, splits.validation, splits.test)]))


def filled(path, picture, suffix=".png", **options):
    for i in range(3):
        picture.save(path / f"{i}{suffix}", **options)
    return path


def loaded(path, picture, suffix=".png", size=8, **options):
    x = together(folder(filled(path, picture, suffix, **options), size))
    assert x.dtype == torch.uint8
    assert (x == x[0]).all()
    return x[0]


def channels(array):
    array = array[..., None] if array.ndim == 2 else array
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))


def with_alpha(colours, alpha):
    return np.concatenate([colours, np.full((8, 8, 1), alpha, np.uint8)], axis=2)


def palette_image():
    picture = Image.fromarray(LEVELS // 64, mode="P")
    picture.putpalette([10, 20, 30, 200, 100, 0, 0, 0, 0, 255, 255, 255])
    return picture


def palette_colours():
    colours = np.array([[10, 20, 30], [200, 100, 0], [0, 0, 0], [255, 255, 255]], np.uint8)
    return colours[LEVELS // 64]


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (lambda: Image.fromarray(LEVELS), LEVELS),
        (lambda: Image.fromarray(LEVELS > 127), np.where(LEVELS > 127, 255, 0).astype(np.uint8)),
        (lambda: Image.fromarray(np.stack([LEVELS, np.full_like(LEVELS, 255)], 2), mode="LA"), LEVELS),
        (lambda: Image.fromarray(COLOURS), COLOURS),
        (lambda: Image.fromarray(with_alpha(COLOURS, 255)), COLOURS),
        (palette_image, palette_colours()),
        (lambda: Image.fromarray(LEVELS.astype(np.uint16) * 257), LEVELS),
    ],
    ids=["grey", "black and white", "grey with alpha", "RGB", "RGBA", "palette", "16-bit"],
)
def test_png_files_of_every_mode_arrive_with_their_values(tmp_path, picture, expected):
    assert torch.equal(loaded(tmp_path, picture()), channels(expected))


@pytest.mark.parametrize(
    ("transparency", "alpha"), [(0, [0, 255, 255, 255]), (b"\x00\x80\xff\xff", [0, 128, 255, 255])]
)
def test_what_is_transparent_in_a_palette_lies_on_white(tmp_path, transparency, alpha):
    share = (np.array(alpha) / 255)[LEVELS // 64][..., None]
    expected = channels((palette_colours() * share + 255 * (1 - share)).round().astype(np.uint8))
    assert (loaded(tmp_path, palette_image(), transparency=transparency).int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize(("mode", "count"), [("L", 1), ("RGB", 3), ("CMYK", 3)])
@pytest.mark.parametrize("suffix", [".jpg", ".JPEG"])
def test_jpeg_files_arrive_with_about_their_values(tmp_path, mode, count, suffix):
    smooth = np.linspace(40, 200, 32).astype(np.uint8)[None, :, None].repeat(32, 0).repeat(3, 2)
    x = loaded(tmp_path, Image.fromarray(smooth).convert(mode), suffix, size=32, quality=95)
    assert x.shape == (count, 32, 32)
    assert (x.float() - torch.from_numpy(smooth[..., 0]).float()).abs().max() <= 6


@pytest.mark.parametrize(
    ("orientation", "stored_as"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (6, np.rot90),
        (8, lambda a: np.rot90(a, 3)),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_pictures_that_a_camera_has_turned_are_turned_back(tmp_path, orientation, stored_as, suffix):
    upright = np.zeros((32, 32), np.uint8)
    upright[:16] = 200
    upright[:16, :16] = 100
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(stored_as(upright)))
    x = loaded(tmp_path, stored, suffix, size=32, exif=exif)
    assert [x[0, r, c].item() for r, c in ((8, 8), (8, 24), (24, 8), (24, 24))] == pytest.approx(
        [100, 200, 0, 0], abs=5
    )


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_faulty_entry_beside_the_orientation_does_no_harm(tmp_path, suffix):
    orientation, faulty = struct.pack(">HHIHxx", 0x0112, 3, 1, 3), struct.pack(">HHI4s", 0x0152, 2, 4, b"abc\0")
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 2) + orientation + faulty + bytes(4)
    halves = np.repeat(np.array([0, 200], np.uint8), 16)[:, None].repeat(32, 1)
    x = loaded(tmp_path, Image.fromarray(halves), suffix, size=32, exif=exif)
    assert [x[0, 4, 4].item(), x[0, 28, 4].item()] == pytest.approx([200, 0], abs=5)


@pytest.mark.parametrize("wide", [True, False])
def test_the_centred_square_of_an_oblong_picture_is_kept(tmp_path, wide):
    oblong = np.full((16, 48), 10, np.uint8)
    oblong[:, 16:32] = 200
    x = loaded(tmp_path, Image.fromarray(oblong if wide else oblong.T.copy()), size=16)
    assert x.shape == (1, 16, 16)
    assert (x == 200).all()


def test_shrinking_averages_and_does_not_skip(tmp_path):
    stripes = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (64, 32)))
    x = loaded(tmp_path, stripes, size=8).float()
    assert (x.mean().item(), x.std().item()) == pytest.approx((127.5, 0), abs=6)
    assert stripes.resize((8, 8), Image.Resampling.NEAREST).getextrema() in ((0, 0), (255, 255))


def test_one_coloured_picture_makes_all_of_them_coloured(tmp_path):
    filled(tmp_path, Image.fromarray(LEVELS))
    Image.fromarray(COLOURS).save(tmp_path / "3.png")
    x = together(folder(tmp_path, 8))
    assert x.shape == (4, 3, 8, 8)
    assert sum(torch.equal(image, channels(LEVELS).expand(3, -1, -1)) for image in x) == 3


def test_folders_below_are_read_and_other_files_are_not(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    filled(tmp_path / "a" / "b", Image.fromarray(LEVELS), ".PNG")
    filled(tmp_path, Image.fromarray(LEVELS))
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "folder.png").mkdir()
    assert len(together(folder(tmp_path, 8))) == 6


@pytest.mark.parametrize(
    ("sides", "size"), [((100, 40), 32), ((500, 500), 64), ((64, 64), 64), ((46, 99), 64), ((45, 99), 32), ((5, 9), 8)]
)
def test_by_default_the_size_is_the_power_of_two_nearest_to_the_median(tmp_path, sides, size):
    filled(tmp_path, Image.new("L", sides))
    Image.new("L", (8, 8)).save(tmp_path / "small.png")
    Image.new("L", (200, 200)).save(tmp_path / "large.png")
    assert folder(tmp_path, None).train.shape == (1, size, size)


@pytest.mark.parametrize(("side", "power"), [(1, 8), (8, 8), (11, 8), (12, 16), (28, 32), (64, 64), (4000, 64)])
def test_the_nearest_power_of_two(side, power):
    assert default_size([side]) == power


def test_the_same_folder_gives_the_same_splits(tmp_path):
    for i in range(20):
        Image.new("L", (8, 8), i).save(tmp_path / f"{i}.png")
    first, again = folder(tmp_path, 8), folder(tmp_path, 8)
    assert torch.equal(everything(first.test)[0], everything(again.test)[0])
    assert sorted(together(first)[:, 0, 0, 0].tolist()) == list(range(20))


def test_a_stray_picture_puts_no_test_picture_into_the_training_part(tmp_path):
    heard = []
    for part, grey in (("train", 50), ("test", 200)):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            filled(tmp_path / part / name, Image.new("L", (8, 8), grey))
    Image.new("L", (8, 8), 120).save(tmp_path / "preview.png")
    splits = folder(tmp_path, 8, warn=heard.append)
    assert splits.class_names == ("cat", "dog") and len(splits.test) == 6
    assert {int(v) for v in to_uint8(everything(splits.train)[0]).unique()} == {50}
    assert len(heard) == 1 and "left out: preview.png." in heard[0]


@pytest.mark.parametrize(
    ("files", "words"), [((), "it is empty"), (("a.txt", "b.mp3", "README"), "it holds .mp3, .txt, README files")]
)
def test_a_folder_without_pictures_is_refused_with_what_it_holds(tmp_path, files, words):
    for name in files:
        (tmp_path / name).write_text("hello")
    with pytest.raises(DataError, match="no picture in") as caught:
        folder(tmp_path, None)
    assert words in str(caught.value)


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        folder(tmp_path / "nothing", None)


def png(width, height):
    """A PNG file that claims a size and holds almost nothing."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("kind", ["empty", "text", "header", "half"])
@pytest.mark.parametrize("size", [8, None])
def test_a_broken_picture_is_named(tmp_path, suffix, kind, size):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8))
    filled(tmp_path, noise, suffix)
    good = (tmp_path / f"0{suffix}").read_bytes()
    bad = {"empty": b"", "text": b"<html>not found</html>", "header": good[:8], "half": good[: len(good) // 2]}
    (tmp_path / f"bad{suffix}").write_bytes(bad[kind])
    with pytest.raises(DataError, match=rf"(?s)1 of 4 pictures .* bad{suffix}"):
        folder(tmp_path, size)


def test_postscript_in_disguise_is_not_handed_to_an_interpreter(tmp_path, monkeypatch):
    interpreted = []
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *job: interpreted.append(job))
    filled(tmp_path, Image.fromarray(LEVELS))
    Image.fromarray(LEVELS).save(tmp_path / "disguised.png", format="EPS")
    with pytest.raises(DataError, match=r"(?s)1 of 4 pictures .* disguised.png"):
        folder(tmp_path, 8)
    assert not interpreted


@pytest.mark.parametrize("side", [8_000, 10_000, 20_000])
@pytest.mark.parametrize("size", [8, None])
def test_a_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded(tmp_path, side, size):
    filled(tmp_path, Image.fromarray(LEVELS))
    (tmp_path / "bomb.png").write_bytes(png(side, side))
    with pytest.raises(DataError, match=r"(?s)1 of 4 pictures .* bomb.png: .*(above the limit|exceeds limit)"):
        folder(tmp_path, size)


def test_a_bomb_of_ones_own_is_a_picture_when_it_claims_a_small_size(tmp_path):
    filled(tmp_path, Image.fromarray(LEVELS))
    (tmp_path / "small.png").write_bytes(png(9, 9))  # nine rows of ten bytes: the rest is left over
    assert len(together(folder(tmp_path, 8))) == 4


UNREADABLE = r"cannot be read as \.npz or \.npy"


def npz(path, **held):
    np.savez(path / "data.npz", **held)
    return arrays(path / "data.npz", None)


@pytest.mark.parametrize("name", ["x", "images", "x_train", "anything"])
@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (np.stack([LEVELS] * 4), channels(LEVELS)),
        (np.stack([LEVELS[..., None]] * 4), channels(LEVELS)),
        (np.stack([COLOURS] * 4), channels(COLOURS)),
        (np.stack([with_alpha(COLOURS, 9)] * 4), channels(with_alpha(COLOURS, 9))),
    ],
    ids=["N H W", "N H W 1", "N H W 3", "N H W 4"],
)
def test_arrays_of_bytes_are_images(tmp_path, name, held, expected):
    x = together(npz(tmp_path, **{name: held}))
    assert x.shape == (4, *expected.shape)
    assert all(torch.equal(image, expected) for image in x)


def test_a_single_array_is_read_from_npy(tmp_path):
    np.save(tmp_path / "data.npy", np.stack([COLOURS] * 4))
    splits = arrays(tmp_path / "data.npy", None)
    assert torch.equal(together(splits)[0], channels(COLOURS))
    assert splits.train.classes == 0


@pytest.mark.parametrize("name", ["y", "labels", "y_train"])
@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_labels_come_with_their_images(tmp_path, name, dtype):
    x = np.arange(30, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)
    splits = npz(tmp_path, x=x, **{name: (np.arange(30) % 3).astype(dtype)})
    assert splits.train.classes == 3
    for part in (splits.train, splits.validation, splits.test):
        assert torch.equal(to_uint8(everything(part)[0])[:, 0, 0, 0] % 3, everything(part)[1])


def test_without_labels_there_are_no_classes(tmp_path):
    assert npz(tmp_path, x=np.stack([LEVELS] * 4)).train.classes == 0


@pytest.mark.parametrize(("shape", "size"), [((20, 40, 3), 16), ((100, 100, 3), 64), ((32, 32, 3), 32), ((5, 9, 3), 8)])
def test_arrays_of_other_sizes_are_cropped_and_resized(tmp_path, shape, size):
    splits = npz(tmp_path, x=np.full((4, *shape), (10, 20, 30), np.uint8))
    assert splits.train.shape == (3, size, size)
    assert (together(splits) == torch.tensor([10, 20, 30])[:, None, None]).all()


@pytest.mark.parametrize("shape", [(40, 24, 3), (24, 40), (64, 64, 3)])
def test_an_array_is_resized_like_a_picture(tmp_path, shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    np.savez(tmp_path / "data.npz", x=np.stack([image] * 3))
    picture = loaded(tmp_path, Image.fromarray(image), size=16)
    assert all(torch.equal(x, picture) for x in together(arrays(tmp_path / "data.npz", 16)))


def test_the_size_can_be_chosen(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.zeros((4, 64, 64), np.uint8))
    assert arrays(tmp_path / "data.npz", 16).train.shape == (1, 16, 16)


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ({"x": np.zeros((4, 8, 8), np.float32)}, "it holds x float32[4, 8, 8]"),
        ({"x": np.zeros((4, 8), np.uint8)}, "it holds x uint8[4, 8]"),
        ({"x": np.zeros((4, 3, 64, 64), np.uint8)}, "is uint8[4, 3, 64, 64], with its channels first"),
        ({"y": np.arange(4)}, "it holds y int64[4]"),
        ({}, "it holds nothing"),
    ],
)
def test_arrays_that_are_no_images_are_refused_with_what_they_are(tmp_path, held, words):
    with pytest.raises(DataError, match=re.escape(words)):
        npz(tmp_path, **held)


@pytest.mark.parametrize(
    "held",
    [
        {"x": np.zeros((0, 8, 8), np.uint8)},
        {"x": np.zeros((2, 8, 8), np.uint8)},
        {"x": np.zeros((0, 8, 8), np.uint8), "y": np.zeros(0, int)},
        {"x": np.zeros((9, 0, 0), np.uint8)},
        {"x": np.zeros((9, 8, 8, 0), np.uint8)},
    ],
    ids=lambda held: " ".join(f"{name}{list(array.shape)}" for name, array in held.items()),
)
def test_too_few_or_empty_images_are_refused(tmp_path, held):
    with pytest.raises(DataError):
        npz(tmp_path, **held)


@pytest.mark.parametrize("y", [np.arange(9) - 1, np.arange(9) / 2, np.arange(8), np.zeros((9, 2), int)])
def test_labels_that_do_not_fit_are_refused(tmp_path, y):
    with pytest.raises(DataError, match="9 images need whole numbers from 0, one each"):
        npz(tmp_path, x=np.zeros((9, 8, 8), np.uint8), y=y)


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


@pytest.mark.parametrize("save", [np.save, lambda path, array: np.savez(path, x=array)], ids=["npy", "npz"])
def test_arrays_of_objects_are_refused_unopened(tmp_path, save):
    path = tmp_path / ("data.npy" if save is np.save else "data.npz")
    save(path, np.array([Bomb()] * 4, dtype=object))
    with pytest.raises(DataError, match=UNREADABLE):
        arrays(path, None)


def test_a_pickle_that_is_called_npz_is_refused(tmp_path):
    (tmp_path / "data.npz").write_bytes(b"\x80\x04N.")
    with pytest.raises(DataError, match=UNREADABLE):
        arrays(tmp_path / "data.npz", None)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 not a zip", b"\x93NUMPY\x01\x00"])
def test_what_is_no_array_file_is_refused(tmp_path, content):
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(DataError, match=UNREADABLE):
        arrays(tmp_path / "data.npz", None)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match=UNREADABLE):
        arrays(tmp_path / "nothing.npz", None)
    with pytest.raises(DataError, match="no set written by `equipoise data convert`"):
        arrays(tmp_path, None)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_damaged_archive_is_refused(tmp_path, save):
    path = tmp_path / "data.npz"
    save(path, x=np.random.default_rng(0).integers(0, 4, (9, 8, 8)).astype(np.uint8))
    content = bytearray(path.read_bytes())
    content[content.index(b"x.npy") + 40] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match=UNREADABLE):
        arrays(path, None)


@pytest.mark.parametrize(("offset", "value"), [(10, 99), (8, 1)], ids=["unknown compression", "encrypted"])
def test_an_archive_of_a_kind_that_python_cannot_read_is_refused(tmp_path, offset, value):
    path = tmp_path / "data.npz"
    np.savez(path, x=np.stack([LEVELS] * 4))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + offset] = value  # in the central directory
    path.write_bytes(content)
    with pytest.raises(DataError, match=UNREADABLE):
        arrays(path, None)


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((12, 3, 16, 16), "with its channels first"),
        ((12, 1, 8, 8), "with its channels first"),
        ((12, 3, 32, 32), "with its channels first"),
        ((40, 30, 3), "one picture?"),
        ((40, 30, 4), "one picture?"),
    ],
)
def test_arrays_that_would_pass_for_other_pictures_are_refused(tmp_path, shape, told):
    np.savez(tmp_path / "x.npz", x=np.ones(shape, np.uint8))
    with pytest.raises(DataError, match=told.replace("?", "[?]")):
        arrays(tmp_path / "x.npz", None)


@pytest.mark.parametrize("shape", [(12, 16, 16, 3), (12, 16, 16, 16), (12, 4, 4), (12, 3, 3, 1), (12, 30, 28)])
def test_other_arrays_are_taken_as_they_are(tmp_path, shape):
    np.savez(tmp_path / "x.npz", x=np.ones(shape, np.uint8))
    assert arrays(tmp_path / "x.npz", None).train.shape[0] == (shape[3] if len(shape) == 4 else 1)

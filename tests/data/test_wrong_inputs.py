"""Promise P10: bad data is found before step 1, by name; nothing is written outside; odd but valid pictures arrive
with the pixels that Pillow's documented functions give.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image, ImageCms, ImageOps
from pyarrow import parquet

from equipoise import build
from equipoise.configuring import data_at
from equipoise.data.decode import Unreadable, decoded
from equipoise.data.images import pictures
from equipoise.data.places import Folder
from equipoise.data.source import everything, to_uint8
from equipoise.errors import DataError

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (16, 16, 3), np.uint8)
GREY = COLOURS[..., 0]
SMOOTH = np.linspace(0, 255, 16).astype(np.uint8)[:, None].repeat(16, 1)
MEMORY = 64 * 2**20  # bytes that Python and numpy may take for any archive of this file


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


GOOD = encoded(Image.fromarray(COLOURS))


# Archives: each builder writes one file below a folder, and says which words must name what is wrong with it.


def zipped(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes], **options) -> Path:
    """Three good pictures, and `entries`."""
    with zipfile.ZipFile(path / "set.zip", "w", **options) as archive:
        for i in range(3):
            archive.writestr(f"good/{i}.png", GOOD)
        for info, content in entries:
            archive.writestr(info, content)
    return path / "set.zip"


def named(name: str, **fields) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("x")
    info.filename = name
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def linked(name: str) -> tuple[zipfile.ZipInfo, bytes]:
    return named(name, external_attr=(stat.S_IFLNK | 0o777) << 16), b"/etc/passwd"


def patched(path: Path, marker: bytes, offset: int, value: bytes, nth: int = -1) -> Path:
    """The file with `value` at `offset` behind the last (or nth) `marker`."""
    content = bytearray(path.read_bytes())
    places = [i for i in range(len(content)) if content.startswith(marker, i)]
    content[places[nth] + offset : places[nth] + offset + len(value)] = value
    path.write_bytes(content)
    return path


def file(path: Path, name: str, content: bytes) -> Path:
    (path / name).write_bytes(content)
    return path / name


def doubled(path: Path) -> Path:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return zipped(path, ("good/2.png", GOOD))


def npz(path: Path, **held) -> Path:
    np.savez_compressed(path / "set.npz", **held)
    return path / "set.npz"


def npy_bytes(header: str, data: bytes = b"") -> bytes:
    padded = header.ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded + data


def npy_header(shape: object, kind: str = "|u1") -> str:
    return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"


def npz_of(path: Path, member: bytes) -> Path:
    with zipfile.ZipFile(path / "set.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", member)
    return path / "set.npz"


def idx(*shape: int, data: bytes | None = None, kind: int = 8) -> bytes:
    body = bytes(int(np.prod(shape))) if data is None else data
    return struct.pack(f">HBB{len(shape)}I", 0, kind, len(shape), *shape) + body


def columns(path: Path, **columns) -> Path:
    parquet.write_table(pa.table(columns), path / "set.parquet")
    return path / "set.parquet"


def with_labels(path: Path, images: bytes, labels: bytes) -> Path:
    file(path, "t10k-labels-idx1-ubyte", labels)
    return file(path, "t10k-images-idx3-ubyte", images)


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


def png(width: int, height: int, data: bytes = bytes(100)) -> bytes:
    """A PNG that claims a size and holds almost nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


ARCHIVES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "zip, traversal": (lambda p: zipped(p, ("../evil.png", GOOD)), "../evil.png: its name leads out"),
    "zip, deep traversal": (lambda p: zipped(p, ("a/../../evil.png", GOOD)), "a/../../evil.png: its name leads out"),
    "zip, backslashes": (lambda p: zipped(p, (named("..\\evil.png"), GOOD)), "its name leads out"),
    "zip, traversal of another kind": (lambda p: zipped(p, ("../.bashrc", b"evil")), "../.bashrc: its name leads out"),
    "zip, absolute": (lambda p: zipped(p, (named("/evil.png"), GOOD)), "/evil.png: its name is an absolute path"),
    "zip, drive": (lambda p: zipped(p, (named("C:/evil.png"), GOOD)), "C:/evil.png: its name is an absolute path"),
    "zip, link": (lambda p: zipped(p, linked("link.png")), "link.png: a link"),
    "zip, link of another kind": (lambda p: zipped(p, linked("passwd")), "passwd: a link"),
    "zip, zero byte in a name": (
        lambda p: patched(zipped(p, (named("evil@.png"), GOOD)), b"evil@.png", 4, b"\0"),
        "holds a zero byte",
    ),
    "zip, bomb of zeros": (
        lambda p: zipped(p, ("bomb.png", bytes(8 * 2**20)), compression=zipfile.ZIP_DEFLATED),
        "bomb.png: 8388608 bytes out",
    ),
    "zip, claims 3 GiB": (
        lambda p: patched(zipped(p, ("huge.png", GOOD)), b"PK\x01\x02", 24, struct.pack("<I", 3 * 2**30)),
        "huge.png: 3072 MiB, above the limit",
    ),
    "zip, bomb of pixels": (lambda p: zipped(p, ("bomb.png", png(20_000, 20_000))), "bomb.png: "),
    "zip, encrypted": (
        lambda p: patched(zipped(p, ("secret.png", GOOD)), b"PK\x01\x02", 8, b"\1"),
        "secret.png: encrypted",
    ),
    "zip, LZMA": (lambda p: zipped(p, (named("lz.png", compress_type=14), GOOD)), "lz.png: compressed by a method"),
    "zip, bzip2": (lambda p: zipped(p, (named("bz.png", compress_type=12), GOOD)), "bz.png: compressed by a method"),
    "zip, unknown method": (
        lambda p: patched(zipped(p, ("odd.png", GOOD)), b"PK\x01\x02", 10, b"\x63"),
        "odd.png: compressed",
    ),
    "zip, bad CRC": (
        lambda p: patched(zipped(p, ("bad.png", GOOD)), b"bad.png", 60, b"\xff\xff\xff", 0),
        "bad.png: Bad CRC",
    ),
    "zip, a name twice": (doubled, "good/2.png: the archive holds two"),
    "zip, nested": (lambda p: file(p, "set.zip", zip_of("inner.zip", zip_of("a.png", GOOD))), "no picture in"),
    "zip, nothing in it": (lambda p: file(p, "set.zip", zip_of("folder/", b"")), "no picture in"),
    "zip, 0 bytes": (lambda p: file(p, "set.zip", b""), "cannot be read as .zip"),
    "zip, text": (lambda p: file(p, "set.zip", b"<html>not found</html>"), "cannot be read as .zip"),
    "zip, half": (lambda p: file(p, "set.zip", zipped(p).read_bytes()[:300]), "cannot be read as .zip"),
    "zip, torn directory": (lambda p: patched(zipped(p), b"PK\x01\x02", 0, b"XXXX"), "cannot be read as .zip"),
    "npz, pickle": (lambda p: npz_pickled(p), "cannot be read"),
    "npz, header claims too much": (
        lambda p: npz_of(p, npy_bytes(npy_header((9, 8, 8)), bytes(64))),
        "claims uint8[9, 8, 8]",
    ),
    "npz, header claims 200 GB": (
        lambda p: npz_of(p, npy_bytes(npy_header((10**6, 256, 256, 3)), bytes(64))),
        "claims",
    ),
    "npz, bomb of zeros": (lambda p: npz(p, x=np.zeros((70, 1024, 1024), np.uint8)), "a bomb"),
    "npz, negative side": (lambda p: npz_of(p, npy_bytes(npy_header((-1, 8, 8)), bytes(64))), "claims"),
    "npz, no images": (lambda p: npz(p, y=np.arange(4)), "holds no uint8 images"),
    "npy, header claims 200 GB": (
        lambda p: file(p, "set.npy", npy_bytes(npy_header((10**6, 256, 256, 3)), bytes(64))),
        "claims",
    ),
    "npy, code in the header": (lambda p: file(p, "set.npy", npy_bytes("__import__('os').abort()")), "cannot be read"),
    "npy, objects": (lambda p: file(p, "set.npy", npy_bytes(npy_header((4,), "|O"), b"\x80\x04N.")), "cannot be read"),
    "npy, long header": (lambda p: file(p, "set.npy", npy_bytes(npy_header("(" * 9000))), "cannot be read"),
    "npy, 0 bytes": (lambda p: file(p, "set.npy", b""), "cannot be read"),
    "gz, bomb behind the images": (
        lambda p: file(p, "set.gz", gzip.compress(idx(4, 8, 8) + bytes(2**26))),
        "holds more than its header says",
    ),
    "gz, header claims 200 GB": (
        lambda p: file(p, "set.gz", gzip.compress(idx(10**6, 512, 512, data=b""))),
        "does not fit into",
    ),
    "gz, half": (
        lambda p: file(p, "set.gz", gzip.compress(idx(9, 8, 8, data=RNG.bytes(576)))[:200]),
        "cannot be read as idx",
    ),
    "gz, text": (lambda p: file(p, "set.gz", b"hello"), "cannot be read as idx"),
    "idx, header claims too much": (lambda p: file(p, "set.idx", idx(9, 8, 8, data=bytes(64))), "does not fit into"),
    "idx, more than the header says": (
        lambda p: file(p, "set.idx", idx(1, 8, 8, data=bytes(640))),
        "does not fit into",
    ),
    "idx, unknown type": (lambda p: file(p, "set.idx", idx(9, 8, 8, kind=7)), "does not begin like an idx file"),
    "idx, labels of others": (lambda p: with_labels(p, idx(9, 8, 8), idx(8)), "9 images need whole numbers"),
    "parquet, text": (lambda p: file(p, "set.parquet", b"PAR1 hello PAR1"), "cannot be read as parquet"),
    "parquet, half": (
        lambda p: file(p, "set.parquet", columns(p, image=[GOOD] * 9).read_bytes()[:-9]),
        "cannot be read as parquet",
    ),
    "parquet, no pictures": (lambda p: columns(p, text=["a", "b"]), "has no column of pictures: it has text"),
    "parquet, a row without": (lambda p: columns(p, image=[GOOD, GOOD, GOOD, None]), "3: a row without a picture"),
    "parquet, stray labels": (lambda p: columns(p, image=[GOOD] * 4, label=[0, 1, 2, 10**9]), "holds no labels"),
}


def npz_pickled(path: Path) -> Path:
    np.savez(path / "set.npz", x=np.array([Bomb()] * 4, dtype=object))
    return path / "set.npz"


def zip_of(name: str, content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, content)
    return made.getvalue()


def tree(path: Path) -> dict[str, int]:
    return {str(p): p.lstat().st_mtime_ns for p in [path, *path.rglob("*")]}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_hostile_archive_is_refused_by_name_and_writes_nothing(name, tmp_path, monkeypatch):
    make, words = ARCHIVES[name]
    (tmp_path / "deep" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "here")
    path = make(tmp_path / "deep" / "here")
    before = tree(tmp_path)
    tracemalloc.start()
    with pytest.raises(DataError) as caught:
        build.splits(data_at(str(path)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert words in str(caught.value)
    assert tree(tmp_path) == before
    assert peak < MEMORY


def test_there_are_enough_archives_and_pictures():
    assert len(ARCHIVES) >= 30
    assert len(BAD) + len(ODD) >= 40


# Pictures that cannot be read.


def cut(kind: str, share: float, **options) -> bytes:
    whole = encoded(Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8)), kind, **options)
    return whole[: int(len(whole) * share)]


BAD: dict[str, bytes] = {
    **{f"cut-{int(100 * share)}.png": cut("PNG", share) for share in (0.01, 0.1, 0.5, 0.9)},
    **{f"cut-{int(100 * share)}.jpg": cut("JPEG", share) for share in (0.01, 0.1, 0.5, 0.9)},
    "cut.gif": cut("GIF", 0.5), "cut.webp": cut("WEBP", 0.5), "cut.bmp": cut("BMP", 0.5), "cut.tif": cut("TIFF", 0.5),
    "cut.ppm": cut("PPM", 0.5), "cut-lzw.tif": cut("TIFF", 0.5, compression="tiff_lzw"),
    "empty.png": b"", "html.jpg": b"<html>not found</html>", "zip.png": zip_of("a.png", GOOD),
    "noise.webp": RNG.bytes(500), "zeros.bmp": bytes(500),
    "postscript.png": encoded(Image.fromarray(COLOURS), "EPS"),
    "vector.png": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "bomb.png": png(20_000, 20_000), "wide.png": png(2**31 - 1, 1), "nothing.png": png(0, 0),
    "bomb.gif": b"GIF89a" + struct.pack("<HH", 65_000, 65_000) + encoded(Image.fromarray(GREY), "GIF")[10:],
    "bomb.bmp": b"BM" + struct.pack("<IHHIIiiHH", 100, 0, 0, 54, 40, 30_000, 30_000, 1, 24) + bytes(60),
    "bomb.ppm": b"P6 30000 30000 255\n" + bytes(50),
    "bomb.tif": encoded(Image.fromarray(GREY), "TIFF").replace(
        struct.pack("<HHIHH", 256, 4, 1, 16, 0), struct.pack("<HHII", 256, 4, 1, 2**24)
    ),
    "bomb.webp": b"RIFF" + struct.pack("<I", 40) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4)
    + (16_000).to_bytes(3, "little") + (16_000).to_bytes(3, "little") + bytes(10),
    "float.tif": encoded(Image.fromarray(SMOOTH.astype(np.float32)), "TIFF"),
    "32-bit.tif": encoded(Image.fromarray(SMOOTH.astype(np.int32) * 2**20), "TIFF"),
    "checksum.png": GOOD[:60] + bytes([GOOD[60] ^ 255]) + GOOD[61:],
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_is_named_with_its_reason(name, tmp_path):
    tracemalloc.start()
    with pytest.raises(Unreadable, match=r"\w") as caught:
        decoded(BAD[name], 16)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MEMORY
    assert "object at 0x" not in str(caught.value)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read as Linux gives it")
def test_bombs_are_refused_before_their_pixels_are_made(tmp_path):
    """tracemalloc does not see what the decoders of Pillow take, the system does."""
    for name, content in BAD.items():
        file(tmp_path, name, content)
    code = """if True:
        import re, sys
        from pathlib import Path
        from equipoise.data.decode import Unreadable, decoded
        for path in sorted(Path(sys.argv[1]).iterdir()):
            try:
                decoded(path.read_bytes(), 16)
            except Unreadable:
                continue
            sys.exit(f"{path} was read")
        assert "torch" not in sys.modules
        print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])  # the peak
    """
    found = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert found.stderr == ""
    assert int(found.stdout) * 1024 < 3 * MEMORY


def test_all_bad_pictures_are_named_at_once(tmp_path):
    for name, content in BAD.items():
        file(tmp_path, name, content)
    file(tmp_path, "good.png", GOOD)
    with pytest.raises(DataError) as caught:
        pictures(tmp_path, 16)
    first, _, *lines = str(caught.value).splitlines()
    assert f"{len(BAD)} of {len(BAD) + 1} pictures" in first
    assert sorted(line.partition(":")[0].strip() for line in lines) == sorted(BAD)


def test_one_bad_picture_in_a_hundred_is_left_out_and_told(tmp_path):
    for i in range(99):
        file(tmp_path, f"{i}.png", GOOD)
    file(tmp_path, "bad\x1b[31m.png", b"")
    heard = []
    splits = pictures(tmp_path, 16, warn=heard.append)
    assert len(splits.train) + len(splits.validation) + len(splits.test) == 99
    assert splits.left_out == {"bad\x1b[31m.png": "an empty file"}
    assert heard == [
        f"1 of 100 pictures in {tmp_path} cannot be read and are left out: bad\\x1b[31m.png (an empty file)."
    ]
    file(tmp_path, "worse.png", b"")
    with pytest.raises(DataError, match="2 of 101 pictures"):
        pictures(tmp_path, 16)


def test_a_long_list_is_cut(tmp_path):
    for i in range(250):
        file(tmp_path, f"{i}.png", b"broken")
    with pytest.raises(DataError) as caught:
        pictures(tmp_path, 16)
    lines = str(caught.value).splitlines()
    assert (len(lines), lines[-1]) == (203, "  and 50 more")


# Odd but valid pictures, and what they must become: computed by Pillow's documented functions, not by ours.


def upright(content: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(content))
    image.seek(0) if getattr(image, "is_animated", False) else image.load()
    return ImageOps.exif_transpose(image)


def on_white(content: bytes) -> Image.Image:
    image = upright(content).convert("RGBA")
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return white


def as_rgb(content: bytes) -> Image.Image:
    return upright(content).convert("RGB")


def as_grey(content: bytes) -> Image.Image:
    return upright(content).convert("L")


def high_byte(content: bytes) -> Image.Image:
    return Image.fromarray((np.asarray(Image.open(io.BytesIO(content))).astype(np.int64) // 256).astype(np.uint8))


def from_lab(content: bytes) -> Image.Image:
    change = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    return ImageCms.applyTransform(Image.open(io.BytesIO(content)), change)


def turned(kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(Image.fromarray(RNG.integers(0, 256, (16, 24, 3), np.uint8)), kind, exif=exif)


def animated(kind: str) -> bytes:
    frames = [Image.fromarray(RNG.integers(0, 256, (16, 16, 3), np.uint8)) for _ in range(3)]
    options = {"lossless": True} if kind == "WEBP" else {}
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)


def alpha(array: np.ndarray) -> np.ndarray:
    return np.dstack([array, RNG.integers(0, 256, (16, 16), np.uint8)])


def palette() -> Image.Image:
    return Image.fromarray(COLOURS).quantize(16)


ODD: dict[str, tuple[bytes, Callable[[bytes], Image.Image]]] = {
    "bits.png": (encoded(Image.fromarray(GREY > 127)), as_grey),
    "grey.png": (encoded(Image.fromarray(GREY)), as_grey),
    "grey alpha.png": (encoded(Image.fromarray(alpha(GREY), "LA")), lambda b: on_white(b).convert("L")),
    "alpha.png": (encoded(Image.fromarray(alpha(COLOURS))), on_white),
    "palette.png": (encoded(palette()), as_rgb),
    "see-through palette.png": (encoded(palette(), transparency=bytes(range(0, 256, 16))), on_white),
    "see-through colour.png": (encoded(Image.fromarray(COLOURS), transparency=tuple(COLOURS[3, 3].tolist())), on_white),
    "see-through grey.png": (
        encoded(Image.fromarray(GREY), transparency=int(GREY[3, 3])), lambda b: on_white(b).convert("L"),
    ),
    "16 bits.png": (encoded(Image.fromarray(GREY.astype(np.uint16) * 257)), high_byte),
    "16 bits.tif": (encoded(Image.fromarray(GREY.astype(np.uint16) * 251), "TIFF"), high_byte),
    "16 bits as 32.tif": (encoded(Image.fromarray(GREY.astype(np.int32) * 257), "TIFF"), high_byte),
    "16 bits.pgm": (b"P5 16 16 65535\n" + (GREY.astype(">u2") * 257).tobytes(), high_byte),
    "cmyk.jpg": (encoded(Image.fromarray(COLOURS).convert("CMYK"), "JPEG"), as_rgb),
    "cmyk.tif": (encoded(Image.fromarray(COLOURS).convert("CMYK"), "TIFF"), as_rgb),
    "ycbcr.tif": (encoded(Image.fromarray(COLOURS).convert("YCbCr"), "TIFF"), as_rgb),
    "lab.tif": (encoded(Image.fromarray(COLOURS, "LAB"), "TIFF"), from_lab),
    "grey.jpg": (encoded(Image.fromarray(GREY), "JPEG"), as_grey),
    "progressive.jpg": (encoded(Image.fromarray(COLOURS), "JPEG", progressive=True), as_rgb),
    **{f"turned-{i}.jpg": (turned("JPEG", i), as_rgb) for i in range(1, 9)},
    **{f"turned-{i}.png": (turned("PNG", i), as_rgb) for i in (3, 6)},
    **{f"turned-{i}.tif": (turned("TIFF", i), as_rgb) for i in (2, 5, 8)},
    **{f"turned-{i}.webp": (turned("WEBP", i), as_rgb) for i in (4, 7)},
    "animated.gif": (animated("GIF"), as_rgb),
    "animated.webp": (animated("WEBP"), as_rgb),
    "animated.png": (animated("PNG"), as_rgb),
    "png called.jpg": (GOOD, as_rgb),
    "jpeg called.png": (encoded(Image.fromarray(COLOURS), "JPEG"), as_rgb),
    "trailing.png": (GOOD + RNG.bytes(99), as_rgb),
    "trailing.jpg": (encoded(Image.fromarray(COLOURS), "JPEG") + RNG.bytes(99), as_rgb),
    "1 pixel.png": (encoded(Image.fromarray(COLOURS[:1, :1])), as_rgb),
    "thin.png": (encoded(Image.fromarray(RNG.integers(0, 256, (1, 3000, 3), np.uint8))), as_rgb),
    "tall.png": (encoded(Image.fromarray(RNG.integers(0, 256, (3001, 2, 3), np.uint8))), as_rgb),
    "large.bmp": (encoded(Image.fromarray(RNG.integers(0, 256, (99, 70, 3), np.uint8)), "BMP"), as_rgb),
    "see-through.webp": (encoded(Image.fromarray(alpha(COLOURS)), "WEBP", lossless=True), on_white),
    "colours.ppm": (encoded(Image.fromarray(COLOURS), "PPM"), as_rgb),
    "bits.pbm": (encoded(Image.fromarray(GREY > 127), "PPM"), as_grey),
    "packbits.tif": (encoded(Image.fromarray(COLOURS), "TIFF", compression="packbits"), as_rgb),
    "see-through.gif": (encoded(palette(), "GIF", transparency=3), on_white),
}  # fmt: skip


@pytest.mark.parametrize("size", [16, 8])
@pytest.mark.parametrize("name", ODD)
def test_an_odd_picture_arrives_as_pillow_decodes_it(name, size):
    content, documented = ODD[name]
    expected = np.asarray(ImageOps.fit(documented(content), (size, size), Image.Resampling.LANCZOS))
    expected = expected[..., None] if expected.ndim == 2 else expected
    found = decoded(content, size)
    assert (found.shape, found.dtype) == (expected.shape, np.uint8)
    blended = documented is on_white or "alpha" in name or "see-through" in name  # Pillow has two roundings of a blend
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= (1 if blended else 0)


def test_another_decoding_would_be_noticed():
    """The control: the pictures of ODD tell orientations, frames, layers and bytes apart."""
    for name in ("turned-6.jpg", "alpha.png", "16 bits.png"):
        content, documented = ODD[name]
        other = np.asarray(ImageOps.fit(Image.open(io.BytesIO(content)).convert("RGB"), (16, 16)))
        assert (
            np.abs(other.astype(int) - np.asarray(ImageOps.fit(documented(content), (16, 16)).convert("RGB"))).max() > 9
        )
    last = Image.open(io.BytesIO(ODD["animated.gif"][0]))
    last.seek(2)
    assert np.abs(np.asarray(last.convert("RGB")).astype(int) - decoded(ODD["animated.gif"][0], 16)).max() > 9


def test_all_odd_pictures_train_together_from_a_folder_and_a_zip(tmp_path):
    (tmp_path / "folder").mkdir()
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name, (content, _) in ODD.items():
            file(tmp_path / "folder", name, content)
            archive.writestr(name, content)
    sets = [pictures(tmp_path / place, 16) for place in ("folder", "set.zip")]
    together = [to_uint8(torch.cat([everything(p)[0] for p in (s.train, s.validation, s.test)])) for s in sets]
    assert together[0].shape == (len(ODD), 3, 16, 16)
    assert torch.equal(*together)


# Folders with traps in them.


def test_a_folder_of_traps_is_read_to_its_end(tmp_path):
    for name in ("a/1.png", "a/2.PNG", "b/3.png", ".hidden/4.png", "__MACOSX/5.png", "a/._1.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        file(tmp_path, name, GOOD)
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "b" / "self").symlink_to(tmp_path / "b", target_is_directory=True)
    (tmp_path / "b" / "gone.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "b" / "circle.png").symlink_to(tmp_path / "b" / "circle.png")
    os.mkfifo(tmp_path / "b" / "pipe.png")
    found = Folder(tmp_path).listing()
    assert found.names == ["a/1.png", "a/2.PNG", "b/3.png"]
    assert set(found.bad) == {"b/gone.png", "b/circle.png", "b/pipe.png"}

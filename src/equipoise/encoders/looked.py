"""Many images, looked at by an encoder in blocks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import Tensor

from equipoise.data.hooks import Track, untracked
from equipoise.data.ondisk import OnDisk
from equipoise.data.sides import Paired, Unpaired
from equipoise.data.source import InMemory, Part, Source, View, to_uint8
from equipoise.encoders.cache import Cache, Tensors
from equipoise.encoders.encoder import Encoder, Look
from equipoise.errors import DataError

CHUNK = 64  # images that a source is asked for at once


@torch.no_grad()
def looked(encoder: Encoder, images: Tensor | Source, chunk: int = CHUNK, track: Track = untracked) -> Look:
    """What `encoder` sees in all `images`, uint8 [N, C, H, W] or a source of images. `chunk` does not change it.

    Raises:
        DataError: for no images, images that the encoder cannot look at, or features that are not finite.
    """
    source = images_of(images)
    name = encoder.protocol["name"]
    if not len(source):
        raise DataError(f"{name} was given no image to look at.")
    count = -(-len(source) // chunk)
    looks = [encoder.look(block) for block in track(blocks(source, chunk), f"looking ({name})", count)]
    features = torch.cat([look.features for look in looks])
    logits = [look.logits for look in looks if look.logits is not None]
    if bad := int((~features.isfinite().all(1)).sum()):
        raise DataError(
            f"{name} gives features that are not finite for {bad} of {len(features)} images.\n"
            "Its weights are damaged, or not made for such images: choose other features."
        )
    return Look(features, torch.cat(logits) if logits else None)


def remembered(
    encoder: Encoder, images: Tensor | Source, cache: Cache, chunk: int = CHUNK, track: Track = untracked
) -> Look:
    """The same, from the cache if the same images were looked at before by the same encoder in the same way."""

    def make() -> Tensors:
        look = looked(encoder, images, chunk, track)
        return {"features": look.features} | ({} if look.logits is None else {"logits": look.logits})

    known = cache.remembered({"images": kept_as(images), "protocol": dict(encoder.protocol)}, make)
    return Look(known["features"], known.get("logits"))


def identity(images: Tensor | Source) -> str:
    """SHA-256 of what the samples are made of, in their order, and their labels."""
    source = InMemory(images) if isinstance(images, Tensor) else images
    total = hashlib.sha256(f"{len(source)}".encode())
    for piece in source.identity(torch.arange(len(source))):
        total.update(piece)
    return total.hexdigest()


def kept_as(images: Tensor | Source) -> str:
    """What a cache knows samples by: also when their files were changed, where these are not read as a whole."""
    changed = () if isinstance(images, Tensor) else stamps(images)
    return " of ".join([identity(images), *changed])


def stamps(source: Source) -> Iterator[str]:
    match source:
        case OnDisk(stamp=stamp):
            yield stamp
        case View(source=inner) | Part(source=inner):
            yield from stamps(inner)
        case Paired(a=a, b=b) | Unpaired(a=a, b=b):
            yield from stamps(a)
            yield from stamps(b)


def images_of(images: Tensor | Source) -> Source:
    """Raises DataError for what holds no images."""
    source = InMemory(images) if isinstance(images, Tensor) else images
    if len(source.shape) != 3:
        raise DataError(f"samples of shape {list(source.shape)} are no images: take them as features as they are.")
    if isinstance(images, Tensor) and images.dtype != torch.uint8:
        raise DataError(
            f"images are looked at as uint8, not as {images.dtype}: round and clamp them first, as a picture file\n"
            "would (equipoise.data.source.to_uint8 for floats in -1..1)."
        )
    return source


def blocks(source: Source, chunk: int = CHUNK) -> Iterator[Tensor]:
    """uint8 [<= chunk, C, H, W], all in order; the source is told of the block after this one."""
    parts = torch.split(torch.arange(len(source)), chunk)
    for i, part in enumerate(parts):
        for following in parts[i + 1 : i + 2]:
            source.expect(following)
        yield to_uint8(source.take(part)[0])

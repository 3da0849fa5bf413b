"""What a config allows and is seldom meant, and what to use instead. No torch."""

from __future__ import annotations

from collections.abc import Iterator

from equipoise.config import Augmentation, Digits, Images, StackedDigits, TrainConfig

STILL_A_DIGIT_DEGREES = 30  # beyond this a 6 and a 9, or a 1 and a 7, come to be confused
LEAKS_ABOVE = 0.8  # Karras et al. 2020 (arXiv:2006.06676), section 2.2: what is applied so often shows in the samples
INSTEAD = "To make little data go further, use augmentation in front of D, which G does not copy: knobs.augment_p=0.3."
LOOKS = {
    "turn_degrees": "turned", "shift": "shifted", "scale": "scaled", "crop": "cropped", "brightness": "recoloured",
    "contrast": "recoloured", "saturation": "recoloured", "hue": "recoloured", "flip_y": "upside-down",
}  # fmt: skip


def warnings(config: TrainConfig) -> list[str]:
    """One or two lines each; none for what is fine."""
    if not isinstance(config.data, Images):
        return []
    digits = isinstance(config.data, Digits | StackedDigits)
    own = spoilt_digits(config) if digits else left_and_right(config.data.augment)
    return [*leaks(config.data.augment), *own]


def leaks(augment: Augmentation) -> Iterator[str]:
    if on := [name for name in LOOKS if getattr(augment, name)]:
        looks = " and ".join(dict.fromkeys(LOOKS[name] for name in on))
        yield (
            f"{keys(on)}: this leaks into the samples. G will learn to draw {looks} pictures (Karras et al. 2020, "
            f"arXiv:2006.06676, section 2.2).\n{INSTEAD}"
        )


def spoilt_digits(config: TrainConfig) -> Iterator[str]:
    assert isinstance(config.data, Images)
    augment = config.data.augment
    if on := [name for name in ("flip_x", "flip_y") if getattr(augment, name)]:
        yield f"{keys(on)}: this makes signs that are no digits, and G learns to draw them. Leave it off.\n{INSTEAD}"
    if augment.turn_degrees > STILL_A_DIGIT_DEGREES:
        yield (
            f"data.augment.turn_degrees={augment.turn_degrees:g} turns some digits into others (6 and 9, 1 and 7): "
            f"stay at or below {STILL_A_DIGIT_DEGREES}.\n{INSTEAD}"
        )
    if isinstance(config.data, StackedDigits) and (augment.saturation or augment.hue):
        on = [name for name in ("saturation", "hue") if getattr(augment, name)]
        yield f"{keys(on)}: this mixes the three digits that are the channels of a stack. Leave it off.\n{INSTEAD}"
    if {"flip", "ada-blit"} & set(config.augment) and config.knobs.augment_p > LEAKS_ABOVE:
        yield (
            f"flips in front of D leak at knobs.augment_p={config.knobs.augment_p:g}: D cannot tell a digit from its "
            f"mirror image any more. Stay at or below {LEAKS_ABOVE:g}, or leave them out of augment."
        )


def left_and_right(augment: Augmentation) -> Iterator[str]:
    if augment.flip_x:
        yield (
            "data.augment.flip_x is harmless for most photographs, and wrong where left and right matter: text, "
            "digits, clocks, maps, scans of a body."
        )


def keys(names: list[str]) -> str:
    return ", ".join(f"data.augment.{name}" for name in names)

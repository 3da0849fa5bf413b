"""What experts ask of the mask of a lesion, given as data: a YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from equipoise.config.dotted import nearest
from equipoise.config.section import Section
from equipoise.errors import ConfigError, StorageError

Bounds = tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]]  # least and most


class MaskRules(Section):
    """What is not given is not asked."""

    inside: float = Field(1.0, ge=0, le=1)  # share of the mask that lies within the organ, where that is known
    area_pixels: Bounds | None = None
    area_mm2: Bounds | None = None  # of scans, whose pixels have a size
    elongation: float | None = Field(None, ge=1)  # at most: length over width of the ellipse of the same moments
    parts: int | None = Field(None, ge=1)  # at most: pieces that do not touch
    holes: bool = True  # whether it may have holes


def rules_at(path: Path) -> MaskRules:
    """Raises StorageError for a file that cannot be read, ConfigError for one that holds something else."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        return MaskRules.model_validate(raw or {})
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no YAML: {str(error).splitlines()[0]}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        hint = nearest(name, MaskRules.model_fields) if first["type"] == "extra_forbidden" else ""
        raise ConfigError(f"{path}: {name or 'the rules'}: {first['msg']}{hint}") from error

"""Equipoise trains generative adversarial networks and keeps the game in balance.

The public names; importing this package does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.door import GAN as GAN
    from equipoise.guardian import Guardian as Guardian

__version__ = "0.1.0"
__all__ = ["GAN", "Guardian", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "GAN":
        from equipoise.door import GAN

        return GAN
    if name == "Guardian":
        from equipoise.guardian import Guardian

        return Guardian
    raise AttributeError(f"module 'equipoise' has no attribute '{name}'")

"""What a next hop can carry beyond seven-bit mail: whether a message must be rewritten for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HopCapabilities:
    """`eightbitmime` RFC 6152; `binarymime` RFC 3030 §3 (only true together with CHUNKING); `smtputf8` RFC 6531."""

    eightbitmime: bool
    binarymime: bool
    smtputf8: bool

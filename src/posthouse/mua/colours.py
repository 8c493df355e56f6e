"""Colours of mail in the dark: light ones turned dark and the other way round, hue and saturation kept. Pure.

A message says what it looks like on white paper. In the dark its lightness is turned over, so that what it set off
stays set off; what is neither (a logo's blue) changes least. CSS Color 4 as far as tinycss2 reads it.
"""

from __future__ import annotations

import colorsys
import re
from functools import lru_cache

from tinycss2 import color4

_DARKEST, _LIGHTEST = 0.09, 0.92  # of the page, and of text on it
_OLD_HEX = re.compile(r"[0-9a-fA-F]{3}(?:[0-9a-fA-F]{3})?")


@lru_cache(maxsize=1024)
def darken(colour: str) -> str | None:
    """What the colour becomes in the dark; None: it is none, or has no place in sRGB."""
    channels = _read(colour)
    if channels is None:
        return None
    red, green, blue, alpha = channels
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    turned = _DARKEST + (1.0 - lightness) * (_LIGHTEST - _DARKEST)
    # What is loud on white would glare on black.
    red, green, blue = colorsys.hls_to_rgb(hue, turned, saturation * 0.85)
    return _write(red, green, blue, alpha)


def is_light(colour: str) -> bool:
    """Whether it is a background to be read on in daylight."""
    channels = _read(colour)
    return channels is not None and colorsys.rgb_to_hls(*channels[:3])[1] > 0.5


def read_attribute(value: str) -> str | None:
    """A colour of an old attribute such as bgcolor, as CSS has it; with or without "#"."""
    value = value.strip()
    if _OLD_HEX.fullmatch(value):
        return f"#{value}"
    return value if len(value) <= 32 and _read(value) is not None else None


def _read(colour: str) -> tuple[float, float, float, float] | None:
    parsed = color4.parse_color(colour)
    if parsed is None or isinstance(parsed, str):  # currentcolor
        return None
    try:
        found = parsed.to("srgb")
        red, green, blue = (min(1.0, max(0.0, float(each or 0.0))) for each in found.coordinates)
        return red, green, blue, float(found.alpha)
    except (ValueError, NotImplementedError):
        return None


def _write(red: float, green: float, blue: float, alpha: float) -> str:
    channels = f"{round(red * 255)},{round(green * 255)},{round(blue * 255)}"
    return f"rgb({channels})" if alpha >= 1.0 else f"rgba({channels},{alpha:.3g})"

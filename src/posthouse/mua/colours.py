"""Colours of mail in the dark: light ones turned dark and the other way round, hue and saturation kept. Pure.

A message says what it looks like on white paper. In the dark its lightness is turned over as eyes see it (L* of CIELAB,
by the luminance of sRGB): what could be read on what can still be read. CSS Color 4 as far as tinycss2 reads it.
"""

from __future__ import annotations

import colorsys
import re
from functools import lru_cache

from tinycss2 import color4

_DARKEST, _LIGHTEST = 10.0, 92.0  # L* of the page, and of text on it
_CALMER = 0.85  # what is loud on white would glare on black
_OLD_HEX = re.compile(r"[0-9a-fA-F]{3}(?:[0-9a-fA-F]{3})?")


@lru_cache(maxsize=1024)
def darken(colour: str) -> str | None:
    """What the colour becomes in the dark; None: it is none, or has no place in sRGB."""
    channels = _read(colour)
    if channels is None:
        return None
    red, green, blue, alpha = channels
    hue, _, saturation = colorsys.rgb_to_hls(red, green, blue)
    wanted = _DARKEST + (100.0 - _perceive(red, green, blue)) / 100.0 * (_LIGHTEST - _DARKEST)
    return _write(*_find_colour(hue, saturation * _CALMER, wanted), alpha)


def _find_colour(hue: float, saturation: float, wanted: float) -> tuple[float, float, float]:
    """Of that hue, as light as wanted."""
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        if _perceive(*colorsys.hls_to_rgb(hue, middle, saturation)) < wanted:
            low = middle
        else:
            high = middle
    return colorsys.hls_to_rgb(hue, high, saturation)


def _perceive(red: float, green: float, blue: float) -> float:
    """L*, 0 to 100."""
    luminance = 0.2126 * _undo_gamma(red) + 0.7152 * _undo_gamma(green) + 0.0722 * _undo_gamma(blue)
    return 116.0 * luminance ** (1 / 3) - 16.0 if luminance > 0.008856 else 903.3 * luminance


def _undo_gamma(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


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

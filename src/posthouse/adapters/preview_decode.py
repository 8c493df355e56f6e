"""Pictures and pages of PDF, decoded and written anew as WebP; only ever called in a helper (preview_confine.py).

What comes out was made here of nothing but pixels. Sizes are looked at before anything is decoded (decompression
bombs): a picture says its own in its first octets.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import pypdfium2
from PIL import Image, ImageOps

from posthouse.adapters.preview_confine import Done, Job

MAX_PIXELS = 50_000_000  # of a picture as it comes
MAX_WIDTH = 2_400
_MAX_SIDE = 12_000  # WebP knows 16,383
_MAX_MOVING_PIXELS = 30_000_000  # of all frames together; of more the first one is shown
_MAX_FRAMES = 150
_MAX_RENDERED = 12_000_000  # of a page
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "ICO", "AVIF")


@dataclass(frozen=True, slots=True)
class Refused(Exception):
    why: str

    def __str__(self) -> str:
        return self.why


def warm_up() -> None:
    """Whatever is loaded at first use is loaded now."""
    Image.init()
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    sample = Image.new("RGBA", (8, 8), (1, 2, 3, 128))
    for kind in ("PNG", "GIF", "WEBP", "BMP", "TIFF", "ICO", "AVIF", "JPEG"):
        written = io.BytesIO()
        try:
            (sample if kind != "JPEG" else sample.convert("RGB")).save(written, kind)
        except (KeyError, OSError):
            continue  # pillow was built without it
        make_picture(Job("picture", written.getvalue(), {"width": 4}))
    document = pypdfium2.PdfDocument.new()
    document.new_page(72, 72)
    written = io.BytesIO()
    document.save(written)
    make_page(Job("pdf", written.getvalue(), {"width": 8, "page": 1}))


def make_picture(job: Job) -> Done:
    """`width`: at most so wide. Raises what pillow raises."""
    width = _read_width(job)
    with Image.open(io.BytesIO(job.octets), formats=_FORMATS) as picture:
        if picture.width * picture.height > MAX_PIXELS or max(picture.size) > 30_000:
            raise Refused(f"{picture.width} x {picture.height} pixels")
        frames = getattr(picture, "n_frames", 1)
        if 1 < frames <= _MAX_FRAMES and picture.width * picture.height * frames <= _MAX_MOVING_PIXELS:
            return _write_moving(picture, width)
        picture.draft("RGB", (width, width))  # JPEG is decoded no larger than that
        return _write_still(ImageOps.exif_transpose(picture), width)


def _write_still(picture: Image.Image, width: int) -> Done:
    is_drawn = picture.mode in ("P", "1", "L") and picture.width * picture.height <= 400_000
    shown = _shrink(_to_colours(picture), width)
    written = io.BytesIO()
    shown.save(written, "WEBP", quality=82, method=2, lossless=is_drawn)
    return Done(written.getvalue(), figures={"width": shown.width, "height": shown.height})


def _write_moving(picture: Image.Image, width: int) -> Done:
    frames: list[Image.Image] = []
    pauses: list[int] = []
    for frame in _list_frames(picture):
        pauses.append(max(20, int(frame.info.get("duration", 100) or 100)))
        frames.append(_shrink(frame.convert("RGBA"), width))
    written = io.BytesIO()
    first = frames[0]
    first.save(written, "WEBP", save_all=True, append_images=frames[1:], duration=pauses, loop=0, quality=75, method=0)
    return Done(written.getvalue(), figures={"width": first.width, "height": first.height})


def _list_frames(picture: Image.Image) -> Iterator[Image.Image]:
    for number in range(getattr(picture, "n_frames", 1)):
        picture.seek(number)
        yield picture


def _to_colours(picture: Image.Image) -> Image.Image:
    if picture.mode in ("RGB", "RGBA"):
        return picture
    has_alpha = picture.mode in ("LA", "PA", "La", "RGBa") or "transparency" in picture.info
    return picture.convert("RGBA" if has_alpha else "RGB")


def _shrink(picture: Image.Image, width: int) -> Image.Image:
    if picture.width > width or picture.height > _MAX_SIDE:
        picture.thumbnail((width, _MAX_SIDE))
    return picture


def make_page(job: Job) -> Done:
    """`page` of a PDF, from 1; `figures["pages"]` tells how many there are. Raises what pdfium raises."""
    width = _read_width(job)
    document = pypdfium2.PdfDocument(job.octets)
    pages = len(document)
    number = int(job.arguments.get("page", 1))
    if not 1 <= number <= pages:
        raise Refused(f"page {number} of {pages}")
    page = document[number - 1]
    across, down = page.get_size()
    if across <= 0 or down <= 0:
        raise Refused("a page without a size")
    scale = min(width / across, (_MAX_RENDERED / (across * down)) ** 0.5, _MAX_SIDE / down)
    picture: Image.Image = page.render(scale=scale, may_draw_forms=False).to_pil().convert("RGB")
    written = io.BytesIO()
    picture.save(written, "WEBP", quality=85, method=2)
    return Done(written.getvalue(), figures={"pages": pages, "width": picture.width, "height": picture.height})


def _read_width(job: Job) -> int:
    return min(max(int(job.arguments.get("width", MAX_WIDTH)), 1), MAX_WIDTH)

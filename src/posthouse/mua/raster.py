"""What picture octets are, by their first ones: never by what a server or a message says of them. Pure.

Raster types only. SVG is a program with pictures in it, so it is not among them.
"""

from __future__ import annotations


def sniff_raster(octets: bytes) -> str:
    """A media type, "" for what is no raster picture that is shown."""
    for start, kind in _STARTS:
        if octets.startswith(start):
            return kind
    if octets[:4] == b"RIFF" and octets[8:12] == b"WEBP":
        return "image/webp"
    if octets[4:8] == b"ftyp" and octets[8:12] in (b"avif", b"avis"):
        return "image/avif"
    return ""


def is_pdf(octets: bytes) -> bool:
    """ISO 32000-1 Annex H lets 1,024 octets of something else stand before it; readers do."""
    return b"%PDF-" in octets[:1_024]


_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
)

"""What a file is by its first bytes, to compare with what it was said to be.

Formats that browsers show, and those that are most often attached, are told by what every such file begins with (their specifications;
the WHATWG's "MIME Sniffing" has most in one table). A container may hold several: a ZIP is an office document as well. What is text is
told by what text does not have. Nothing here reads a file as its viewer would: that it begins as it should is all that is said.
"""

from __future__ import annotations

__all__ = ["FIRST_BYTES", "contradiction", "is_told", "shown_inline"]

FIRST_BYTES = 4096

# Where it stands, what stands there, and the media types that begin so.
_BEGINNINGS: tuple[tuple[int, bytes, tuple[str, ...]], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", ("image/png", "image/apng")),
    (0, b"\xff\xd8\xff", ("image/jpeg",)),
    (0, b"GIF87a", ("image/gif",)),
    (0, b"GIF89a", ("image/gif",)),
    (0, b"BM", ("image/bmp",)),
    (0, b"II*\0", ("image/tiff",)),
    (0, b"MM\0*", ("image/tiff",)),
    (0, b"\0\0\1\0", ("image/x-icon", "image/vnd.microsoft.icon")),
    (8, b"WEBP", ("image/webp",)),
    (8, b"WAVE", ("audio/wav", "audio/x-wav", "audio/vnd.wave")),
    (8, b"AVI ", ("video/x-msvideo",)),
    (0, b"%PDF-", ("application/pdf",)),
    (0, b"\x1a\x45\xdf\xa3", ("video/webm", "audio/webm", "video/x-matroska", "audio/x-matroska")),
    (0, b"OggS", ("audio/ogg", "video/ogg", "application/ogg")),
    (0, b"fLaC", ("audio/flac",)),
    (0, b"ID3", ("audio/mpeg",)),
    (0, b"\xff\xfb", ("audio/mpeg",)),
    (0, b"\xff\xf3", ("audio/mpeg",)),
    (0, b"\xff\xf2", ("audio/mpeg",)),
    (0, b"\xff\xf1", ("audio/aac",)),
    (0, b"\xff\xf9", ("audio/aac",)),
    (0, b"\x1f\x8b", ("application/gzip",)),
    (0, b"\x28\xb5\x2f\xfd", ("application/zstd",)),
    (0, b"7z\xbc\xaf\x27\x1c", ("application/x-7z-compressed",)),
    (0, b"PK\3\4", ("application/zip", "application/epub+zip")),
    (0, b"PK\5\6", ("application/zip",)),
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        ("application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"),
    ),
    (0, b"PAR1", ("application/vnd.apache.parquet",)),
    (0, b"wOF2", ("font/woff2",)),
    (0, b"{\\rtf", ("application/rtf", "text/rtf")),
)
_RIFF = frozenset({b"WEBP", b"WAVE", b"AVI "})
_ZIPPED = ("application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.opendocument.")
# ISO base media files: what stands at 8, behind `ftyp`; all other brands are of films.
_BRANDS = {
    b"heic": ("image/heic", "image/heif"), b"heix": ("image/heic", "image/heif"), b"mif1": ("image/heif", "image/heic", "image/avif"),
    b"msf1": ("image/heif", "image/heic"), b"avif": ("image/avif",), b"avis": ("image/avif",), b"M4A ": ("audio/mp4", "audio/x-m4a"),
    b"qt  ": ("video/quicktime",),
}  # fmt: skip
_FILMS = ("video/mp4", "audio/mp4", "video/3gpp", "video/3gpp2", "video/x-m4v")
_TEXTS = ("application/json", "application/xml", "application/javascript", "application/x-ndjson", "image/svg+xml")
_TOLD = frozenset(
    [one for _, _, types in _BEGINNINGS for one in types] + [one for types in _BRANDS.values() for one in types] + [*_FILMS, *_TEXTS]
)  # fmt: skip
_INLINE = frozenset(
    {"image/png", "image/apng", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/heic", "image/heif", "image/bmp"}
    | {"video/mp4", "video/webm", "video/ogg", "video/quicktime", "audio/mp4", "audio/mpeg", "audio/ogg", "audio/wav"}
    | {"audio/webm", "audio/flac", "audio/aac", "application/pdf", "text/plain"}
)


def is_told(media_type: str) -> bool:
    """Whether first bytes can contradict it."""
    return media_type in _TOLD or media_type.startswith(("text/", *_ZIPPED)) or media_type.endswith(("+json", "+xml", "+zip"))


def shown_inline(media_type: str) -> bool:
    """Whether a browser may show it in a page; all else is saved, lest a script in it run as the site's own."""
    return media_type in _INLINE


def contradiction(media_type: str, first: bytes) -> str | None:
    """What it is instead, or that it is not that. first: its first `FIRST_BYTES`, or all of it. None: it begins as it should."""
    found = _found(first)
    if not is_told(media_type) or media_type in found:
        return None
    if media_type.startswith(_ZIPPED) or media_type.endswith("+zip"):
        return None if "application/zip" in found else _said(media_type, found)
    readable = _is_text(media_type) and not found and _reads_as_text(first)
    if readable and (media_type != "image/svg+xml" or b"<svg" in first):
        return None
    return _said(media_type, found)


def _said(media_type: str, found: tuple[str, ...]) -> str:
    return f"does not begin as {media_type} does" + (f": it begins as {found[0]}" if found else "")


def _found(first: bytes) -> tuple[str, ...]:
    if first[4:8] == b"ftyp":
        return _BRANDS.get(first[8:12], _FILMS)
    for at, beginning, types in _BEGINNINGS:
        if first[at : at + len(beginning)] == beginning and (beginning not in _RIFF or first[:4] == b"RIFF"):
            return types
    return ()


def _is_text(media_type: str) -> bool:
    return media_type in _TEXTS or media_type.startswith("text/") or media_type.endswith(("+json", "+xml"))


def _reads_as_text(first: bytes) -> bool:
    """UTF-8, or at least without the bytes that no text has (in UTF-16 every other byte may be one, behind its mark)."""
    if first[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return True
    return not any(byte < 9 or 13 < byte < 27 for byte in first)

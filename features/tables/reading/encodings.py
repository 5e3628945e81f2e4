"""The encoding of a text file, and its text as UTF-8.

The engine reads UTF-8 alone. Other encodings are decoded here, streamed into a temporary file.
A byte order mark decides; then zeros between the letters (UTF-16); then whether the bytes are valid
UTF-8. What is none of these is cp1252, or latin-1 where it has bytes that cp1252 does not know, or
gb18030 where nearly all bytes beyond ASCII come in its pairs.
"""

from __future__ import annotations

import codecs
import os
import re
from dataclasses import dataclass
from pathlib import Path

from features.tables.reading.reading import Unreadable
from features.tables.reading.temporary import TemporaryFolder, open_private, require_disk

CHUNK = 2**20
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16 (little endian)"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16 (big endian)"),
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a byte order mark"),
)
_UNKNOWN_TO_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
DAMAGED = re.compile("[\udc80-\udcff]")  # a byte that could not be decoded
_BEYOND_ASCII = re.compile("[^\x00-\x7f\udc80-\udcff]")
_PAIR = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]")
_HIGH_PAIR = re.compile(rb"[\xa1-\xf7][\xa1-\xfe]")


@dataclass(frozen=True)
class Encoding:
    """codec: Python's name. words: ours. is_guess: no byte order mark and no rule proves it."""

    codec: str
    words: str
    is_guess: bool = False

    @property
    def is_utf8(self) -> bool:
        return self.codec in ("utf-8", "utf-8-sig")


UTF_8 = Encoding("utf-8", "UTF-8")


def detect_encoding(head: bytes) -> Encoding | None:
    """The encoding by the first bytes; None where they are no text.

    UTF-8 is only probable then: `single_byte_encoding` decides once a later byte is not UTF-8.
    """
    for mark, codec, words in _MARKS:
        if head.startswith(mark):
            return Encoding(codec, words)
    if b"\x00" in head and (wide := _wide_encoding(head)):
        return wide
    # A single one is damage, and costs its row alone.
    controls = len(re.findall(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", head))
    if controls > max(1, len(head) / 100):
        return None
    if _is_utf8(head):
        return UTF_8
    valid, damaged = _count_characters(head)
    return UTF_8 if valid > damaged else single_byte_encoding(head)


def _wide_encoding(head: bytes) -> Encoding | None:
    """UTF-16 without a mark: nearly every second byte of Western text is zero."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) // 2
    if odd > 0.3 * half and even < 0.05 * half:
        return Encoding("utf-16-le", "UTF-16 (little endian)", is_guess=True)
    if even > 0.3 * half and odd < 0.05 * half:
        return Encoding("utf-16-be", "UTF-16 (big endian)", is_guess=True)
    return None


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return True


def _count_characters(chunk: bytes) -> tuple[int, int]:
    """Characters beyond ASCII that are valid UTF-8, and bytes that are not."""
    text = chunk.decode("utf-8", errors="surrogateescape")
    return len(_BEYOND_ASCII.findall(text)), len(DAMAGED.findall(text))


def single_byte_encoding(sample: bytes) -> Encoding:
    """The encoding of text with bytes that are not UTF-8."""
    high = sum(1 for byte in sample if byte >= 0x80)
    paired = 2 * len(_HIGH_PAIR.findall(sample))
    if high and paired >= 0.9 * high and _decodes(_PAIR.findall(sample), "gb18030"):
        return Encoding("gb18030", "GB 18030", is_guess=True)
    if _UNKNOWN_TO_CP1252.search(sample):
        return Encoding("latin-1", "Latin-1", is_guess=True)
    return Encoding("cp1252", "Windows-1252 (cp1252)", is_guess=True)


def _decodes(pairs: list[bytes], codec: str) -> bool:
    try:
        b"".join(pairs).decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def judge_damaged(path: Path) -> Encoding:
    """The encoding of a whole file that is not valid UTF-8 somewhere.

    UTF-8 with damaged bytes where most characters beyond ASCII are valid; else one of single bytes.
    """
    valid = damaged = 0
    sample = bytearray()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            if chunk.isascii():
                continue
            good, bad = _count_characters(chunk)
            valid, damaged = valid + good, damaged + bad
            if len(sample) < 4 * CHUNK:
                sample += b"\n".join(re.findall(rb"[^\n]*[\x80-\xff][^\n]*", chunk))
    if valid > damaged:
        return Encoding("utf-8", "UTF-8 with damaged characters", is_guess=True)
    return single_byte_encoding(bytes(sample))


def convert_to_utf8(path: Path, encoding: Encoding, folder: TemporaryFolder) -> Path:
    """The text of the file as UTF-8 in a temporary file, a piece at a time."""
    require_disk(2 * os.path.getsize(path), f"decoding {path.name}")
    target = folder.new_path(".txt")
    # A byte that the encoding does not know becomes a mark of damage; its row is left out later.
    decoder = codecs.getincrementaldecoder(encoding.codec)(errors="surrogateescape")
    try:
        with path.open("rb") as source, os.fdopen(open_private(target), "wb") as file:
            while chunk := source.read(CHUNK):
                file.write(decoder.decode(chunk).encode("utf-8", errors="surrogateescape"))
            file.write(decoder.decode(b"", final=True).encode("utf-8", errors="surrogateescape"))
    except UnicodeError as error:
        raise Unreadable(
            got=f"bytes that are not {encoding.words}",
            rule="A text file has one encoding from its first byte to its last.",
            fix="Save it again as CSV in UTF-8, or export it again.",
        ) from error
    return target

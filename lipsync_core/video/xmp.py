"""XMP in MP4 and MOV: one `uuid` box at the end of the file, as Adobe's XMP specification (part 3) has it."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import BinaryIO
from xml.sax.saxutils import escape, quoteattr

_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_LONGEST = 1 << 20  # bytes of a packet that are read
_MOST_BOXES = 10_000

_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="{namespace}" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" Iptc4xmpExt:DigitalSourceType={source} xmp:CreatorTool={tool}>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{words}</rdf:li></rdf:Alt></dc:description>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def append_xmp(path: Path, source_type: str, tool: str, words: str) -> None:
    """Write the box behind everything else of a finished file."""
    packet = _PACKET.format(
        namespace=_IPTC_EXT, source=quoteattr(source_type), tool=quoteattr(tool), words=escape(words)
    ).encode()
    with path.open("ab") as file:
        file.write(struct.pack(">I4s", 8 + len(_UUID) + len(packet), b"uuid") + _UUID + packet)


def read_xmp(path: Path) -> str:
    """The DigitalSourceType of the file's XMP box, "" where there is none."""
    with path.open("rb") as file:
        packet = _find(file)
    if not packet or b"<!" in packet:  # no entities from a stranger's file
        return ""
    try:
        root = ElementTree.fromstring(packet)
    except ElementTree.ParseError:
        return ""
    name = f"{{{_IPTC_EXT}}}DigitalSourceType"
    for element in root.iter():
        if value := element.get(name) or (element.text if element.tag == name else None):
            return value
    return ""


def _find(file: BinaryIO) -> bytes:
    """The packet of the first XMP box among the top-level boxes."""
    end, place = file.seek(0, 2), 0
    for _ in range(_MOST_BOXES):
        file.seek(place)
        header = file.read(32)
        if len(header) < 8:
            return b""
        size, kind = struct.unpack(">I4s", header[:8])
        if size == 1 and len(header) >= 16:
            (size,) = struct.unpack(">Q", header[8:16])
        elif kind == b"uuid" and header[8:24] == _UUID:
            file.seek(place + 24)
            return file.read(min(_LONGEST, size - 24)).strip()
        if size < 8 or place + size > end:
            return b""
        place += size
    return b""

"""Images in SVG files, stored with a byte per pixel."""

from __future__ import annotations

import base64
import io
import re

import numpy as np

_IMAGE = re.compile(rb"data:image/png;base64,([A-Za-z0-9+/=\s]+)")
#: Colours that a palette can hold.
PALETTE = 256


def with_palettes(svg: bytes) -> bytes:
    """Return an SVG file in which the embedded images of few colours have a palette; no pixel changes."""
    return _IMAGE.sub(lambda found: b"data:image/png;base64," + _indexed(found.group(1)), svg)


def _indexed(encoded: bytes) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
        pixels = np.asarray(image.convert("RGBA"))
    packed = np.ascontiguousarray(pixels).view(np.uint32)[..., 0]
    colours, places = np.unique(packed, return_inverse=True)
    if len(colours) > PALETTE:
        return encoded
    small = Image.fromarray(places.reshape(packed.shape).astype(np.uint8))
    small.putpalette(colours.astype(np.uint32).tobytes(), "RGBA")
    stream = io.BytesIO()
    small.save(stream, format="png", optimize=True)
    return base64.b64encode(stream.getvalue())

"""Where the pixels of an image lie on the detector."""

from __future__ import annotations

from dataclasses import dataclass

from gpucti.detector import nint
from gpucti.io.cards import Cards


@dataclass(frozen=True)
class PixelGrid:
    """Where the pixels of an image lie on the detector: ``image = reference * ltm + ltv`` in 1-based pixels.

    Attributes
    ----------
    ltm, ltv : (x, y)
        LTM1_1, LTM2_2 and LTV1, LTV2.
    """

    ltm: tuple[float, float] = (1.0, 1.0)
    ltv: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def of(cls, cards: Cards) -> PixelGrid:
        """Read it from an extension header; raise the error of `cards` if it makes no sense."""
        ltm = tuple(float(cards.number(name, default=1)) for name in ("LTM1_1", "LTM2_2"))
        ltv = tuple(float(cards.number(name, default=0)) for name in ("LTV1", "LTV2"))
        if not all(2**-12 <= step <= 2 for step in ltm) or not all(abs(offset) < 2**20 for offset in ltv):
            raise cards.wrong(
                f"LTM is {ltm}, LTV {ltv}; expected 1 over the binning (image pixels per detector pixel), and "
                "an offset in pixels"
            )
        return cls((ltm[0], ltm[1]), (ltv[0], ltv[1]))

    @property
    def bin(self) -> tuple[int, int]:
        """Detector pixels per image pixel."""
        return nint(1 / self.ltm[0]), nint(1 / self.ltm[1])

    @property
    def corner(self) -> tuple[int, int]:
        """Detector pixel, 0-based, where the image begins."""
        x, y = ((1 / m - 1) / 2 - 1 / m * v for m, v in zip(self.ltm, self.ltv, strict=True))
        return nint(x), nint(y)

    @property
    def zero(self) -> tuple[float, float]:
        """Image pixel, 0-based, of detector pixel (0, 0)."""
        x, y = (v + (m - 1) for m, v in zip(self.ltm, self.ltv, strict=True))
        return x, y

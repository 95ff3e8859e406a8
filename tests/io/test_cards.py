"""Cards: one header, where it stands, and the error that tells what is wrong in it."""

from __future__ import annotations

from typing import Any

import pytest
from astropy.io import fits

from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.cards import Cards

HEADER = fits.Header(
    {"NUMBER": 1.5, "WHOLE": 3, "FULL": 4.0, "TEXT": " OBS ", "SWITCH": "perform", "FLAG": True, "CCDAMP": "D"}
)
WHERE = "x_raw.fits[0]"


def cards(error: Any = InputError) -> Cards:
    header = HEADER.copy()
    header["BLANK"] = None
    return Cards(header, WHERE, error)


@pytest.mark.parametrize(
    ("reader", "name", "value"),
    [
        ("value", "FLAG", True),
        ("number", "NUMBER", 1.5),
        ("number", "WHOLE", 3),
        ("whole", "FULL", 4),
        ("text", "TEXT", "OBS"),
        ("switch", "SWITCH", "PERFORM"),
        ("switch", "NONE", ""),
        ("file", "NONE", ""),
        ("file", "TEXT", "OBS"),
    ],
)
def test_readers(reader: str, name: str, value: Any) -> None:
    """Oracle: the header above."""
    found = getattr(cards(), reader)(name)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("reader", "name", "reason"),
    [
        ("value", "NONE", "NONE is missing; the keyword is needed and has no default, add it"),
        ("number", "TEXT", "TEXT is ' OBS'; expected a number"),
        ("number", "FLAG", "FLAG is True; expected a number"),
        ("number", "BLANK", "BLANK is blank; expected a number"),
        ("whole", "NUMBER", "NUMBER is 1.5; expected a whole number"),
        ("text", "WHOLE", "WHOLE is 3; expected text in quotes"),
        ("switch", "FLAG", "FLAG is True; expected text in quotes"),
    ],
)
@pytest.mark.parametrize("error", [InputError, ReferenceFileError])
def test_errors_say_where_and_what(reader: str, name: str, reason: str, error: Any) -> None:
    """Oracle: what a user needs to read, in the error that the header was given."""
    with pytest.raises(error) as caught:
        getattr(cards(error), reader)(name)
    assert (caught.value.where, caught.value.reason, str(caught.value)) == (WHERE, reason, f"{WHERE}: {reason}")


def test_a_default_is_returned_as_given() -> None:
    assert [cards().number("NONE", default=1), cards().text("NONE", default=""), cards().whole("NONE", 2)] == [1, "", 2]


def test_a_name_of_no_file_is_empty() -> None:
    """Oracle: HST headers say N/A where there is no reference file."""
    assert [Cards(fits.Header({"A": name}), WHERE).file("A") for name in ("N/A", "n/a", " ", "oref$x.fits")] == [
        "", "", "", "oref$x.fits",
    ]  # fmt: skip


def test_amplifiers() -> None:
    assert cards().amp() == "D"
    with pytest.raises(InputError, match="CCDAMP is 'AD'; expected one of A, B, C, D"):
        Cards(fits.Header({"CCDAMP": "AD"}), WHERE).amp()


def test_the_header_is_not_a_copy() -> None:
    """Steps change headers on their way, and the cards see it."""
    mine = cards()
    mine.header["WHOLE"] = 5
    assert mine.whole("WHOLE") == 5 and "WHOLE" in mine

"""Options of an extraction that make no sense."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gpucti.calibration.spectra.x1d.parameters import ExtractOptions
from gpucti.errors import InputError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"extrsize": 0}, "extrsize is 0"),
        ({"extrsize": "7"}, "extrsize is '7'; expected a number"),
        ({"extrsize": math.nan}, "extrsize is nan"),
        ({"bk1size": -1}, "bk1size is -1"),
        ({"bk2offst": 1e9}, "bk2offst is 1000000000.0"),
        ({"maxsrch": 2.5}, "maxsrch is 2.5; expected a whole number"),
        ({"maxsrch": -1}, "maxsrch is -1"),
        ({"backord": 2}, "backord is 2"),
        ({"bktilt": 91}, "bktilt is 91"),
        ({"bksmode": "average"}, "bksmode is 'average', which is not offered; expected median or off"),
        ({"fluxcorr": "perform"}, "fluxcorr is 'perform'; expected True, False or None"),
        ({"a2center": True}, "a2center is True"),
    ],
)
def test_bad_options(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ExtractOptions(**given)

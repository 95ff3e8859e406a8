"""PHOTMODE and PHOTCORR."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from gpucti.calibration.base import Trailer
from gpucti.calibration.basic2d.photometry import photcorr, photmode, split_mode
from gpucti.calibration.reffiles import HeaderReferences, References, stored
from gpucti.errors import InputError, ReferenceFileError
from gpucti.io.cards import Cards
from gpucti.io.exposure import Exposure

MODE = "stis,50ccd,mirror,ccd,mjd#"
MJD = 55000.0
#: The keywords that PHOTCORR writes.
WRITTEN = ("PHOTFLAM", "PHOTZPT", "PHOTPLAM", "PHOTBW")


def headers(**cards: Any) -> tuple[Cards, Cards]:
    """Return primary and SCI header of an image."""
    primary = {"APERTURE": "50CCD", "CCDGAIN": 4, "OPT_ELEM": "MIRVIS", "OBSTYPE": "IMAGING", "PHOTCORR": "PERFORM"}
    primary |= {"IMPHTTAB": "x_imp.fits"} | cards
    mjd = primary.pop("EXPSTART", MJD)
    header = fits.Header()
    header.update(primary)
    return Cards(header, "x.fits[0]"), Cards(fits.Header({"EXPSTART": mjd}), "x.fits[SCI,1]")


def imphttab(folder: Path, rows: list[dict[str, Any]], *, parnum: int = 2, vary: bool = True, **cards: Any) -> None:
    """Write an IMPHTTAB; a row has OBSMODE, `value` (one or an array) and per parameter a name and its nodes."""
    first = fits.PrimaryHDU()
    first.header.update({"PHOTZPT": -21.1, "PARNUM": parnum, "NEXTEND": 3, "PEDIGREE": "GROUND"} | cards)
    hdus = fits.HDUList([first])
    for scale, name in enumerate(("PHOTFLAM", "PHOTPLAM", "PHOTBW"), start=1):
        columns = [fits.Column("OBSMODE", "40A", array=[row.get("mode", MODE) for row in rows])]
        number = [len(row.get("nodes", [])) for row in rows]
        columns.append(fits.Column("DATACOL", "12A", array=[f"{name}{n or ''}" for n in number]))
        scalars = [0.0 if n else scale * row["value"] for n, row in zip(number, rows, strict=True)]
        columns.append(fits.Column(name, "D", array=scalars))
        for k in range(1, parnum + 1):
            results = [
                scale * np.ravel(row["value"]) if n == k else np.zeros(1) for n, row in zip(number, rows, strict=True)
            ]
            nodes = [
                np.asarray(row["nodes"][k - 1][1], float) if n >= k else np.zeros(1)
                for n, row in zip(number, rows, strict=True)
            ]
            names = [row["nodes"][k - 1][0] if n >= k else "" for n, row in zip(number, rows, strict=True)]
            columns.append(_cells(f"{name}{k}", results, vary))
            columns.append(fits.Column(f"PAR{k}NAMES", "8A", array=names))
            columns.append(_cells(f"PAR{k}VALUES", nodes, vary))
            sizes = [row.get("nelem", {}).get(k, len(cell)) for row, cell in zip(rows, nodes, strict=True)]
            columns.append(fits.Column(f"NELEM{k}", "I", array=sizes))
        hdus.append(fits.BinTableHDU.from_columns(columns, name=name))
    hdus.writeto(folder / "x_imp.fits")


def _cells(name: str, cells: list[np.ndarray], vary: bool) -> fits.Column:
    """Return a column of arrays: of their own lengths, or all as long as the longest."""
    if vary:
        array = np.empty(len(cells), dtype=object)
        array[:] = cells
        return fits.Column(name, "PD()", array=array)
    longest = max(map(len, cells))
    padded = np.array([np.pad(cell, (0, longest - len(cell))) for cell in cells])
    return fits.Column(name, f"{longest}D", array=padded)


def tdstab(folder: Path, **columns: Any) -> None:
    """Write a TDSTAB with the temperature terms of two mirrors, the second row of MIRVIS being the one to use."""
    cells: dict[str, Any] = {
        "OPT_ELEM": ("8A", ["MIRVIS", "G430L", "MIRVIS"]),
        "WAVELENGTH": ("4D", [[4000.0, 5000.0, 6000.0, 0.0]] * 3),
        "NWL": ("I", [3, 3, 3]),
        "REFTEMP": ("D", [0.0, 0.0, 19.0]),
        "TEMPSENS": ("4D", [[9.0] * 4, [9.0] * 4, [0.01, 0.02, 0.04, 9.0]]),
    } | columns
    table = fits.BinTableHDU.from_columns([fits.Column(name, form, array=a) for name, (form, a) in cells.items()])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(folder / "x_tds.fits")


def run(folder: Path, *, gain: float = 1.0, temperature: float = -1.0, **cards: Any) -> fits.Header:
    """Return the primary header after PHOTCORR."""
    primary, sci = headers(**cards)
    photcorr(
        primary,
        sci,
        gain=np.float32(gain),
        temperature=temperature,
        references=HeaderReferences(primary, folder, References({})),
        trailer=Trailer(),
    )
    return primary.header


def test_photmode() -> None:
    """Oracle: the words and their order in CalSTIS's PHOTMODE, spelled out by hand."""
    assert photmode(*headers(EXPSTART=55992.44844)) == "STIS 50CCD A2D4 MIRROR CCD MJD#55992.4484"
    spectrum = {"OBSTYPE": "SPECTROSCOPIC", "APERTURE": "52X0.2", "OPT_ELEM": "G430L", "CENWAVE": 4300, "CCDGAIN": 1}
    assert photmode(*headers(**spectrum)) == "STIS 52X0.2 A2D1 G430L CCD 4300 MJD#55000.0000"
    del (no_gain := headers(**spectrum | {"CENWAVE": 0}))[0].header["CCDGAIN"]
    assert photmode(*no_gain) == "STIS 52X0.2 A2D1 G430L CCD MJD#55000.0000"


def test_photmode_needs_a_date() -> None:
    primary, _ = headers()
    with pytest.raises(InputError, match="EXPSTART is missing"):
        photmode(primary, Cards(fits.Header(), "x.fits[SCI,1]"))


def test_the_gain_is_no_part_of_the_mode() -> None:
    """Oracle: the table's spelling."""
    assert split_mode("STIS 50CCD A2D4 MIRROR CCD MJD#56001.3067") == (MODE, {"mjd#": 56001.3067})


def test_one_value(tmp_path: Path) -> None:
    """A row without parameters: its value; PHOTFLAM times the gain; the switch; the zero point of the file."""
    imphttab(tmp_path, [{"mode": "other", "value": 9.0}, {"value": 2.0}, {"value": 7.0}])
    primary = run(tmp_path, gain=4.25)
    assert [primary[name] for name in WRITTEN] == [8.5, -21.1, 4.0, 6.0]
    assert primary["PHOTCORR"] == "COMPLETE"
    assert any("IMPHTTAB" in line for line in primary["HISTORY"])


@pytest.mark.parametrize("vary", [True, False], ids=["cells of their own length", "cells of one length"])
@pytest.mark.parametrize(
    ("mjd", "value"), [(51000.0, 10.0), (52000.0, 15.0), (53000.0, 20.0), (54500.0, 32.0), (56000.0, 44.0)]
)
def test_one_parameter(tmp_path: Path, mjd: float, value: float, vary: bool) -> None:
    """Oracle: by hand, on straight lines between 10, 20 and 44; both ends belong to the table."""
    row = {"nodes": [("MJD#", [51000.0, 53000.0, 56000.0])], "value": [10.0, 20.0, 44.0]}
    imphttab(tmp_path, [{"value": 1.0, "mode": "other"}, row], vary=vary)
    primary = run(tmp_path, EXPSTART=mjd)
    assert [primary[name] for name in WRITTEN] == [stored(value), -21.1, stored(2 * value), stored(3 * value)]


def test_the_date_has_four_decimals(tmp_path: Path) -> None:
    """Oracle: CalSTIS interpolates at the date as PHOTMODE gives it."""
    imphttab(tmp_path, [{"nodes": [("MJD#", [55000.0, 55001.0])], "value": [0.0, 1.0e4]}])
    assert run(tmp_path, EXPSTART=55000.12346)["PHOTFLAM"] == stored(1235.0)


def test_two_parameters(tmp_path: Path) -> None:
    """Oracle: a bilinear function is reproduced between its nodes; the first parameter varies fastest."""
    flow, dates = np.array([1.0, 2.0, 5.0]), np.array([54000.0, 54500.0, 56000.0])
    value = (3 + 2 * flow[np.newaxis, :]) * (1 + (dates[:, np.newaxis] - 54000) / 1000)
    mode = "stis,50ccd,ramp#,mirror,ccd,mjd#"
    imphttab(tmp_path, [{"mode": mode, "nodes": [("RAMP#", flow), ("MJD#", dates)], "value": value}])
    primary = run(tmp_path, APERTURE="50CCD RAMP#3.5", EXPSTART=55250.0)
    assert primary["PHOTFLAM"] == stored(10 * 2.25)  # (3 + 2 * 3.5) * (1 + 1250 / 1000)


@pytest.mark.parametrize(("mjd", "value"), [(50000.0, 5.0), (59000.0, 68.0)])
def test_beyond_the_table(tmp_path: Path, mjd: float, value: float) -> None:
    """Without EXTRAP the values are undefined and PHOTCORR is skipped; with it the last lines go on (by hand)."""
    row = {"nodes": [("MJD#", [51000.0, 53000.0, 56000.0])], "value": [10.0, 20.0, 44.0]}
    imphttab(tmp_path, [row])
    primary = run(tmp_path, EXPSTART=mjd, gain=4.0)
    assert [primary[name] for name in WRITTEN] == [-9999.0, -21.1, -9999.0, -9999.0]
    assert primary["PHOTCORR"] == "SKIPPED"
    (tmp_path / "x_imp.fits").unlink()
    imphttab(tmp_path, [row], EXTRAP=True)
    primary = run(tmp_path, EXPSTART=mjd)
    assert (primary["PHOTFLAM"], primary["PHOTCORR"]) == (stored(value), "COMPLETE")


@pytest.mark.parametrize(
    ("value", "temperature", "factor"),
    [
        (2500.0, 21.0, 1 + 0.02 * 2),  # PHOTPLAM 5000: a node
        (2750.0, 18.0, 1 - 0.03),  # 5500: halfway between 0.02 and 0.04
        (5000.0, 20.0, 1 + 0.04),  # 10000: constant beyond the last of the NWL nodes
        (1000.0, 20.0, 1 + 0.01),  # 2000: constant before the first
        (2500.0, -1.0, 1.0),  # the temperature is not known
    ],
)
def test_temperature(tmp_path: Path, value: float, temperature: float, factor: float) -> None:
    """Oracle: by hand; the last row of the mirror counts, only the temperature term is applied."""
    imphttab(tmp_path, [{"value": value}])
    tdstab(tmp_path)
    primary = run(tmp_path, TDSTAB="x_tds.fits", temperature=temperature, gain=2.0)
    assert primary["PHOTFLAM"] == stored(value * 2 / factor)
    assert primary["PHOTPLAM"] == stored(2 * value)


def test_no_temperature_terms(tmp_path: Path) -> None:
    """A TDSTAB of the old kind changes nothing."""
    imphttab(tmp_path, [{"value": 2.0}])
    cells = {"OPT_ELEM": ("8A", ["ANY"]), "WAVELENGTH": ("D", [1.0]), "NWL": ("I", [1])}
    columns = [fits.Column(name, form, array=array) for name, (form, array) in cells.items()]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(tmp_path / "x_tds.fits")
    assert run(tmp_path, TDSTAB="x_tds.fits", temperature=25.0)["PHOTFLAM"] == 2.0


@pytest.mark.parametrize("mode", ["stis,f28x50lp,mirror,ccd,mjd#", "stis,25mama,mirror,nuv,mjd"])
def test_no_row(tmp_path: Path, mode: str) -> None:
    """Another mode of another, or of the same, length: PHOTCORR is skipped, and nothing is written."""
    imphttab(tmp_path, [{"mode": mode, "value": 2.0}])
    primary = run(tmp_path)
    assert primary["PHOTCORR"] == "SKIPPED"
    assert not set(WRITTEN) & set(primary)


def test_the_words_may_stand_in_any_order(tmp_path: Path) -> None:
    imphttab(tmp_path, [{"mode": "mjd#,CCD,mirror,50ccd,STIS", "value": 2.0}])
    assert run(tmp_path)["PHOTFLAM"] == 2.0


def test_place_holder(tmp_path: Path) -> None:
    """A DUMMY table switches the step off."""
    imphttab(tmp_path, [{"value": 2.0}], PEDIGREE="DUMMY 01/01/2000")
    primary = run(tmp_path)
    assert primary["PHOTCORR"] == "SKIPPED"
    assert not set(WRITTEN) & set(primary)


def test_spectra_have_none(tmp_path: Path) -> None:
    """Nothing is read or changed."""
    before, _ = headers(OBSTYPE="SPECTROSCOPIC")
    assert run(tmp_path, OBSTYPE="SPECTROSCOPIC") == before.header


def test_old_values_are_replaced(tmp_path: Path) -> None:
    """Cards that are there keep their place and comment."""
    imphttab(tmp_path, [{"value": 2.0}])
    primary = run(tmp_path, PHOTFLAM=(1.0, "mine"), LATER=1)
    assert (primary["PHOTFLAM"], primary.comments["PHOTFLAM"]) == (2.0, "mine")
    assert list(primary).index("PHOTFLAM") < list(primary).index("LATER")


NODES = [("MJD#", [51000.0, 53000.0])]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"nodes": [("MJD#", [53000.0, 51000.0])], "value": [1.0, 2.0]}, "do not increase"),
        ({"nodes": [("MJD#", [51000.0])], "value": [1.0]}, "NELEM1 of row 1 is 1"),
        ({"nodes": [("FR#", [1.0, 2.0])], "value": [1.0, 2.0]}, "depends on 'fr#'"),
        ({"nodes": NODES, "value": [1.0, 2.0], "nelem": {1: 3}}, "expected 3 finite numbers"),
        ({"nodes": [("MJD#", [51000.0, 56000.0])], "value": [1.0]}, "expected 2 finite numbers"),
        ({"nodes": [("MJD#", [51000.0, 56000.0])], "value": [1.0, np.nan]}, "expected 2 finite numbers"),
        ({"nodes": [("MJD#", [51000.0, np.inf])], "value": [1.0, 2.0]}, "expected 2 finite numbers"),
        ({"value": np.nan}, "PHOTFLAM of row 1 is"),
    ],
)
def test_bad_rows(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    imphttab(tmp_path, [row])
    with pytest.raises(ReferenceFileError, match=message) as error:
        run(tmp_path)
    assert "x_imp.fits" in str(error.value)


def test_bad_files(tmp_path: Path) -> None:
    """Missing, without extensions or columns, not FITS; a TDSTAB that does not know the mirror."""
    with pytest.raises(ReferenceFileError, match=r"IMPHTTAB names 'x_imp\.fits'"):
        run(tmp_path)
    with pytest.raises(ReferenceFileError, match="IMPHTTAB is missing"):
        run_without_table(tmp_path)
    with pytest.raises(ReferenceFileError, match="IMPHTTAB is 'N/A'"):
        run(tmp_path, IMPHTTAB="N/A")
    (tmp_path / "x_imp.fits").write_bytes(b"no FITS")
    with pytest.raises(ReferenceFileError, match="not a FITS file"):
        run(tmp_path)
    (tmp_path / "x_imp.fits").unlink()
    imphttab(tmp_path, [{"value": 1.0}])
    with fits.open(tmp_path / "x_imp.fits") as hdus:
        hdus[:3].writeto(tmp_path / "short.fits")
        hdus[1].columns.del_col("DATACOL")
        hdus.writeto(tmp_path / "narrow.fits")
        del hdus[0].header["PHOTZPT"]
    with pytest.raises(ReferenceFileError, match="PHOTBW"):
        run(tmp_path, IMPHTTAB="short.fits")
    with pytest.raises(ReferenceFileError, match="column DATACOL is missing"):
        run(tmp_path, IMPHTTAB="narrow.fits")
    with pytest.raises(ReferenceFileError, match="TDSTAB names"):
        run(tmp_path, TDSTAB="oref$none.fits")
    tdstab(tmp_path, OPT_ELEM=("8A", ["G430L"] * 3))
    with pytest.raises(ReferenceFileError, match="no row for OPT_ELEM = 'MIRVIS'"):
        run(tmp_path, TDSTAB="x_tds.fits")


def run_without_table(folder: Path) -> None:
    primary, sci = headers()
    del primary.header["IMPHTTAB"]
    references = HeaderReferences(primary, folder, References({}))
    photcorr(primary, sci, gain=np.float32(1), temperature=20.0, references=references, trailer=Trailer())


@pytest.mark.golden
def test_golden_image(golden_visit: Path) -> None:
    """Oracle: CalSTIS 3.5.0 on the visit's image: date, gain and temperature, to the digits stored."""
    cards = json.loads((golden_visit / "expected" / "4_products" / "osy101010_crc.json").read_text(encoding="utf-8"))
    expected = {key: value for key, value in cards[0]["header"] if key.startswith("PHOT")}
    exposure = Exposure.read(golden_visit / "expected" / "2_cti" / "osy101010_cte.fits.gz")
    primary, sci = exposure.primary, exposure.sci_cards[0]
    primary["PHOTMODE"] = photmode(exposure.cards, sci)
    photcorr(
        exposure.cards,
        sci,
        gain=np.float32(primary["ATODGAIN"]),
        temperature=sci.number("OCCDHTAV"),
        references=References({"oref": str(golden_visit / "visit" / "oref")}).of(exposure),
        trailer=Trailer(),
    )
    assert {key: primary[key] for key in expected} == expected

"""The archive's services, MAST, through astroquery: searches for darks, titles of programmes, lists of files, files.

astroquery sends; what comes back is read here, and nothing in it is believed before it is checked. Answers are taken
as JSON, since astroquery's tables warn, mask and fail on empty ones.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import requests

from gpucti.archive.connection import configured_server, connect
from gpucti.archive.periods import DarkRecord
from gpucti.archive.retries import Retries, is_final
from gpucti.archive.settings import ArchiveSettings, Product, Refusal
from gpucti.archive.transport import Guard, RefusedAnswer, Stopped
from gpucti.detector import MJD_ZERO
from gpucti.errors import ArchiveError, InputError
from gpucti.io.dates import format_utc, parse_utc
from gpucti.io.network import (
    REQUESTS,
    bad_variable,
    is_address,
    proxy_variable,
    secrets_of,
    shown_address,
    without_secrets,
)

log = logging.getLogger(__name__)

_COLUMNS = ("sci_data_set_name", "sci_start_time", "sci_actual_duration", "sci_pep_id")
#: What is asked for, so that astroquery need not fetch its list of columns.
_CRITERIA = ("sci_instrume", "sci_instrument_config", "sci_targname", "sci_aec")
_CAOM_COLUMNS = {
    "proposal_id": {"vot.datatype": "char"},
    "obs_collection": {"vot.datatype": "char"},
    "instrument_name": {"vot.datatype": "char"},
    "t_min": {"vot.datatype": "double"},
}
_DATASET = re.compile(r"[A-Z0-9]{9}")
#: What may stand in a cookie.
_TOKEN = re.compile(r"[!#-+\--:<-\[\]-~]+")
_MAX_PAGES = 200
_PRODUCTS_AT_ONCE = 500
T = TypeVar("T")


class Mast:
    """One connection, for one thread at a time; a context manager that closes it.

    Parameters
    ----------
    settings : ArchiveSettings
    stop : Event, optional
        Set by another thread to stop what is under way.
    """

    def __init__(self, settings: ArchiveSettings, stop: threading.Event | None = None) -> None:
        if wrong := bad_token(settings.token):
            raise InputError(wrong)
        self._settings = settings
        self._stop = threading.Event() if stop is None else stop
        address = settings.server or configured_server()
        environment = os.environ  # noqa: TID251 -- only read, as requests does
        if not is_address(address):
            raise InputError(
                f"astroquery's configuration has the server {shown_address(address)!r}; expected an address such as "
                "https://HOST, or give one (--mast-server, GPUCTI_MAST_SERVER)"
            )
        if wrong := bad_variable(address, environment, REQUESTS):
            raise InputError(wrong)
        self.server = without_secrets(address)
        self._proxy = proxy_variable(address, environment, REQUESTS)
        self._secrets = (settings.token, *secrets_of(environment))
        self._guard = Guard(address, settings.token, settings.connect, settings.read, settings.whole, self._stop)
        self._retries = Retries(settings.attempts, settings.pause, self._stop, self._why)
        self._missions, self._observations, self._sessions = connect(
            settings.server, self._guard, settings.whole, _COLUMNS + _CRITERIA, _CAOM_COLUMNS
        )

    def __enter__(self) -> Mast:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        for session in self._sessions:
            session.close()

    def darks(self, start: datetime, end: datetime) -> list[DarkRecord]:
        """Return all darks of the STIS CCD, those of anneals too, that start between two dates (UTC)."""
        first = start.replace(microsecond=0)
        last = end.replace(microsecond=0) + timedelta(seconds=1)
        found: dict[str, DarkRecord] = {}
        for page in range(_MAX_PAGES):
            rows = self._page(f"{format_utc(first)}..{format_utc(last)}", page * self._settings.page)
            darks = {dark.name: dark for dark in map(self._record, rows) if dark is not None}
            if page and rows and not darks.keys() - found.keys():
                raise self._error("a search", "its second page repeats the first")
            found |= darks
            if len(rows) < self._settings.page:
                break
        else:
            raise self._error("a search", f"more than {_MAX_PAGES} pages of darks between two dates")
        log.info("%d darks between %s and %s", len(found), format_utc(first), format_utc(last))
        return [dark for dark in found.values() if start <= dark.start <= end]

    def _page(self, dates: str, offset: int) -> list[dict[str, Any]]:
        def request() -> requests.Response:
            response: requests.Response = self._missions.query_criteria_async(
                sci_instrume="STIS",
                sci_instrument_config="STIS/CCD",
                sci_targname="DARK",
                sci_aec="C",
                sci_start_time=dates,
                select_cols=list(_COLUMNS),
                sort_by=["sci_start_time", "sci_data_set_name"],
                limit=self._settings.page,
                offset=offset,
            )
            return response

        answer = self._json("a search", self._ask("a search", request))
        names = [column.get("name") for column in _list(answer, "info") if isinstance(column, Mapping)]
        rows = []
        for row in _list(answer, "results"):
            record = row if isinstance(row, Mapping) else dict(zip(names, row if isinstance(row, list) else ()))  # noqa: B905
            if not set(_COLUMNS) <= set(record):
                raise self._error("a search", f"a row has no {', '.join(sorted(set(_COLUMNS) - set(record)))}")
            rows.append({column: record[column] for column in _COLUMNS})
        if not isinstance(answer.get("results"), list):
            raise self._error("a search", "there is no list of results in the answer")
        return rows

    def _record(self, row: dict[str, Any]) -> DarkRecord | None:
        """Return what a row says, None for one without date or programme."""
        name, start, exptime, programme = (row[column] for column in _COLUMNS)
        name = name.strip().upper() if isinstance(name, str) else ""
        if not _DATASET.fullmatch(name):
            raise self._error("a search", f"sci_data_set_name is {row[_COLUMNS[0]]!r}, no name of an exposure")
        if start is None or programme is None:
            log.warning("%s: the archive knows no date or no programme of it; it is left out", name)
            return None
        when = parse_utc(start) if isinstance(start, str) else None
        try:
            if when is None:
                raise ValueError
            return DarkRecord(name, when, float(exptime or 0.0), int(programme))
        except (TypeError, ValueError, OverflowError):
            raise self._error("a search", f"the row of {name} makes no sense: {self._seen(row)}") from None

    def title(self, programme: int, when: datetime) -> str | None:
        """Return the title of a programme that took a dark at a date, None if the archive does not say."""
        day = (when - MJD_ZERO) / timedelta(days=1)
        what = f"the title of programme {programme}"

        def request() -> requests.Response:
            responses: Sequence[requests.Response] = self._observations.query_criteria_async(
                proposal_id=[str(programme)],
                obs_collection="HST",
                instrument_name="STIS/CCD",
                t_min=[day - 0.1, day + 1.0],
                page=1,
                pagesize=50,
            )
            return responses[0]

        answer = self._json(what, self._ask(what, request))
        if answer.get("status") == "ERROR":
            raise self._error(what, f"{self._seen(answer.get('msg') or 'an error')}")
        rows = [row for row in _list(answer, "data") if isinstance(row, Mapping)]
        titles = {row.get("obs_title") for row in rows if str(row.get("proposal_id")) == str(programme)}
        return next((title for title in titles if isinstance(title, str) and title.strip()), None)

    def products(self, names: Iterable[str]) -> dict[str, Product]:
        """Return the calibrated files (FLT) of exposures; those that have none are not in it."""
        wanted = sorted(set(names))
        found: dict[str, Product] = {}
        for first in range(0, len(wanted), _PRODUCTS_AT_ONCE):
            some = wanted[first : first + _PRODUCTS_AT_ONCE]

            def request(some: list[str] = some) -> requests.Response:
                responses = self._missions.get_product_list_async(some)
                response: requests.Response = responses[0] if isinstance(responses, list) else responses
                return response

            answer = self._json("a list of files", self._ask("a list of files", request))
            if not isinstance(answer.get("products"), list):
                raise self._error("a list of files", "there is none in the answer")
            rows = _list(answer, "products")
            rows = rows[0] if rows and isinstance(rows[0], list) else rows
            for row in rows:
                self._add_product(row, some, found)
        return found

    def _add_product(self, row: Any, wanted: Sequence[str], found: dict[str, Product]) -> None:
        if not isinstance(row, Mapping):
            raise self._error("a list of files", f"a row makes no sense: {self._seen(row)}")
        name, suffix = str(row.get("dataset")).strip().upper(), str(row.get("file_suffix")).strip().upper()
        if name not in wanted or suffix != "FLT":
            return
        filename, uri, size = row.get("filename"), row.get("uri"), row.get("size")
        if not isinstance(filename, str) or filename.lower() != f"{name.lower()}_flt.fits":
            raise self._error("a list of files", f"the FLT of {name} is called {self._seen(filename)}")
        if not isinstance(uri, str) or not isinstance(size, int) or size <= 0:
            raise self._error("a list of files", f"the row of {filename} makes no sense: {self._seen(row)}")
        found[name] = Product(uri, size)

    def fetch(self, product: Product, path: Path) -> None:
        """Write the bytes of a file to a new path, as they come; one attempt.

        Raises
        ------
        Refusal
            The archive does not give it; asking again is useless.
        ArchiveError
            Something went wrong on the way.
        """
        try:
            self._sessions[0].headers.pop("Range", None)  # left behind by a resumption that failed
            status, message, _ = self._missions.download_file(product.uri, local_path=path, cache=False, verbose=False)
        except Stopped:
            raise
        except _trouble() as error:
            if (
                isinstance(error, OSError)
                and error.errno is not None
                and not isinstance(error, requests.RequestException)
            ):
                raise  # of this computer's own
            raise ArchiveError(self._why(error)) from None  # it may hold a secret
        if status != "COMPLETE":
            reason = f"the server answers {self._guard.status}" if self._guard.status >= 400 else self._clean(message)
            raise (Refusal if is_final(self._guard.status) else ArchiveError)(reason)

    def _ask(self, what: str, request: Callable[[], T]) -> T:
        """Return the answer to a request, which is sent again where that can help."""
        try:
            return self._retries.run(f"{self.server}: {what}", request, self._may_pass)
        except Stopped:
            raise
        except _trouble() as error:
            raise self._error(what, self._why(error)) from None  # it may hold a secret

    def _may_pass(self, error: Exception) -> bool:
        """Tell whether the same request may be answered after this error."""
        if isinstance(error, (Stopped, RefusedAnswer)) or not isinstance(error, _trouble()):
            return False
        return not is_final(self._guard.status) and not self._no_json(error)

    def _json(self, what: str, response: requests.Response) -> dict[str, Any]:
        try:
            answer = response.json()
        except (ValueError, RecursionError):
            kind = response.headers.get("Content-Type", "something").partition(";")[0]
            raise self._error(
                what,
                f"answered with {kind} in place of JSON, {self._clean(response.text)[:60]!r}; is it a login page, or a "
                "proxy?",
            ) from None
        if not isinstance(answer, dict):
            raise self._error(what, f"the answer makes no sense: {self._seen(answer)}")
        return answer

    def _no_json(self, error: Exception) -> bool:
        return isinstance(error, ValueError) and self._guard.status == requests.codes.ok

    def _why(self, error: Exception) -> str:
        """Return what went wrong in a few words."""
        if self._guard.status >= 400:
            return f"the server answers {self._guard.status}"
        if self._no_json(error):
            return "the answer is no JSON; is it a login page, or a proxy?"
        if self._guard.status or isinstance(error, RefusedAnswer) or not self._proxy:
            return self._meaning(error)
        return f"{self._meaning(error)} (by way of the proxy in {self._proxy})"

    def _meaning(self, error: Exception) -> str:
        text = f"{error} {error.__cause__ or ''} {error.__context__ or ''}"
        if isinstance(error, (requests.ConnectTimeout, requests.ReadTimeout)) or "timed out" in text.lower():
            return f"no answer for {self._settings.read:g} s"
        for sign, meaning in _SIGNS.items():
            if sign.lower() in text.lower():
                return meaning
        return f"{type(error).__name__}: {' '.join(self._clean(error).split())[:200]}"

    def _clean(self, said: object) -> str:
        """Return what somebody said as it may be shown: a server or a library may repeat the token."""
        return without_secrets(str(said), *self._secrets)

    def _seen(self, value: object) -> str:
        """Return a value of an answer for a message, cut short."""
        return self._clean(repr(value))[:200]

    def _error(self, what: str, why: str) -> ArchiveError:
        hint = "check network and proxy, or work without the archive (--anneals FILE)"
        if self._guard.status in (401, 403):
            hint = "darks are public, so if MAST_API_TOKEN is set it may have expired: renew it or unset it"
        return ArchiveError(f"{what}: {self._clean(why)}; {hint}", where=self.server)


def bad_token(token: str | None) -> str:
    """Return what is wrong with the token of an account, without showing it; empty if nothing is known to be."""
    if not token or _TOKEN.fullmatch(token):
        return ""
    return (
        "MAST_API_TOKEN holds a blank, a line break or another character that no token has (it is not shown here); set "
        "it again, or unset it: darks are public"
    )


_SIGNS = {
    "ProxyError": "the proxy does not let it through",
    "Unable to connect to proxy": "the proxy does not let it through",
    "refused": "connection refused",
    "resolve": "the name of the server is not known here",
    "Name or service not known": "the name of the server is not known here",
    "certificate": "its certificate is not accepted; REQUESTS_CA_BUNDLE=FILE names others, such as an institute's",
    "IncompleteRead": "the connection broke off",
    "Connection aborted": "the connection broke off",
    "Connection broken": "the connection broke off",
    "unreachable": "the network cannot be reached",
    "Failed to establish": "it cannot be reached",
}


def _trouble() -> tuple[type[Exception], ...]:
    """Return what astroquery and requests raise when a request fails or the answer is not what they expect."""
    from astroquery.exceptions import InvalidQueryError, RemoteServiceError, TimeoutError as AstroqueryTimeout

    return (OSError, InvalidQueryError, RemoteServiceError, AstroqueryTimeout, ValueError, AttributeError, TypeError)


def _list(answer: Mapping[str, Any], key: str) -> list[Any]:
    value = answer.get(key)
    return value if isinstance(value, list) else []

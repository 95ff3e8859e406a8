"""Addresses and the variables that requests obey: shown without secrets, and named where they are at fault."""

from __future__ import annotations

import re
import ssl
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

#: What stands in the place of a secret.
HIDDEN = "***"
#: A secret of fewer characters is none, and to hide it would spoil every text.
_SHORTEST = 4
#: User and password in an address, up to the last ``@`` before its path.
_USERINFO = re.compile(r"(?<=://)[^/\s'\"]*@")


class Client(NamedTuple):
    """Which variables a package that sends requests obeys, besides ``https_proxy``, ``http_proxy`` and ``no_proxy``.

    Attributes
    ----------
    certificates : tuple of str
        Variables that name certificates; the first that is set counts.
    all_proxy : bool
        Whether ``all_proxy`` counts.
    """

    certificates: tuple[str, ...]
    all_proxy: bool


#: Of the package requests, and so of astroquery.
REQUESTS = Client(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), all_proxy=True)
#: Of Python's own urllib, and so of crds.
URLLIB = Client(("SSL_CERT_FILE",), all_proxy=False)


def without_secrets(text: str, *secrets: str | None) -> str:
    """Return a text without users and passwords in its addresses, and without these secrets."""
    for secret in secrets:
        for form in (secret, repr(secret)[1:-1]) if secret else ():
            text = text.replace(form, HIDDEN)
    return _USERINFO.sub("", text)


def secrets_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return what must not be shown of variables: the token of the archive, users and passwords of proxies."""
    found = [environment.get("MAST_API_TOKEN", ""), environment.get("CRDS_PASSWORD", "")]
    for name, value in environment.items():
        if name.lower().endswith("_proxy") and "@" in value:
            user = value.rpartition("@")[0].rpartition("://")[2]
            found += [user, user.partition(":")[2]]
    return tuple(secret for secret in found if len(secret) >= _SHORTEST)


def shown_address(address: str) -> str:
    """Return an address as it may be shown, however wrong it is: without what stands before an ``@``."""
    before, _, rest = address.rpartition("@")
    scheme, mark, _ = before.partition("://")
    return f"{scheme}{mark}{rest}" if mark else rest


def is_address(text: str, schemes: tuple[str, ...] = ("http", "https")) -> bool:
    """Tell whether a text is an address with a host, and if with a port, with one that can be."""
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in schemes
            and bool(parts.hostname)
            and (parts.port is None or parts.port > 0)
            and text.isprintable()
            and " " not in text
        )
    except ValueError:
        return False


def proxy_variable(address: str, environment: Mapping[str, str], client: Client) -> str:
    """Return the name of the variable that names the proxy for an address, empty if there is none."""
    parts = urlsplit(address)
    spared = {"no": environment.get("no_proxy", environment.get("NO_PROXY", ""))}
    bypassed = urllib.request.proxy_bypass_environment  # type: ignore[attr-defined]
    if not parts.hostname or bypassed(parts.netloc.rpartition("@")[2], spared):
        return ""
    for name in (f"{parts.scheme}_proxy", *(["all_proxy"] if client.all_proxy else [])):
        spelled = name if name in environment else name.upper()
        if environment.get(spelled):
            return spelled
    return ""


def bad_variable(address: str, environment: Mapping[str, str], client: Client) -> str:
    """Return what is wrong with a variable that a request to an address obeys: its name, and what it should be.

    Empty if nothing is known to be wrong; nothing is asked of the network.
    """
    if name := proxy_variable(address, environment, client):
        value = environment[name].strip()
        proxy = value if "://" in value else f"http://{value}"
        if not is_address(proxy, ("http", "https", "socks4", "socks4a", "socks5", "socks5h")):
            return f"{name} is {shown_address(value)!r}; expected the address of a proxy, http://HOST:PORT, or unset it"
    name = next((name for name in client.certificates if environment.get(name)), "")
    if name and urlsplit(address).scheme == "https":
        path = Path(environment[name])
        if why := _no_certificates(path):
            return f"{name} is {path}, {why}; name a file of certificates (PEM), or unset it"
    return ""


def _no_certificates(path: Path) -> str:
    """Return why a file holds no certificates, empty if it does; a folder of them is not looked into."""
    if path.is_dir():
        return ""
    if not path.exists():
        return "which does not exist"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:  # ssl.SSLError is one
        return "which holds none" if isinstance(error, ssl.SSLError) else f"which cannot be read ({error.strerror})"
    return ""

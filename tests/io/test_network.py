"""Addresses without secrets, and which variable is at fault where the network does not answer."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from gpucti.io.network import (
    REQUESTS,
    URLLIB,
    Client,
    bad_variable,
    is_address,
    proxy_variable,
    secrets_of,
    shown_address,
    without_secrets,
)

requests = pytest.importorskip("requests")
SERVER = "https://mast.stsci.edu"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://host/x?y=a@b", "https://host/x?y=a@b"),
        ("http://user:word@host:1/x", "http://host:1/x"),
        ("http://user@host", "http://host"),
        ("http://user:w@rd@host", "http://host"),
    ],
)
def test_texts_without_passwords(address: str, shown: str) -> None:
    """Oracle: RFC 3986: what stands between // and the last @ before the path is user and password."""
    assert without_secrets(f"at {address!r}, and {address} again") == f"at {shown!r}, and {shown} again"


def test_texts_without_secrets() -> None:
    """Oracle: the secret as it is, and as `repr` shows it."""
    assert without_secrets("token=ab\ncd!", "ab\ncd") == "token=***!"
    assert without_secrets(repr({"Cookie": "ab\ncd"}), "ab\ncd") == "{'Cookie': '***'}"
    assert without_secrets("text", "", None) == "text"
    variables = {
        "HTTPS_PROXY": "http://me:long word@proxy",
        "http_proxy": "proxy:1",
        "MAST_API_TOKEN": "0123",
        "x_proxy": "",
    }
    assert set(secrets_of(variables)) == {"me:long word", "long word", "0123"}


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("u:pw@host", "host"),
        ("http://u:p/w@host", "http://host"),
        ("nonsense", "nonsense"),
        ("x://u@", "x://"),
        ("", ""),
    ],
)
def test_addresses_that_are_none(address: str, shown: str) -> None:
    """Oracle: nothing that may be a password is left, however the address is written."""
    assert shown_address(address) == shown


@pytest.mark.parametrize("text", ["http://h", "https://h:1/x", "http://[::1]:80", "http://u:p@h"])
def test_an_address(text: str) -> None:
    """Oracle: RFC 3986."""
    assert is_address(text)


@pytest.mark.parametrize(
    "text", ["", "h", "ftp://h", "http://", "http://h:x", "http://h:0", "http://[::1", "http://h h", "http://h\n"]
)
def test_no_address(text: str) -> None:
    """Oracle: RFC 3986; port 0 is none."""
    assert not is_address(text)


@pytest.mark.parametrize(
    ("environment", "client", "name"),
    [
        ({}, REQUESTS, ""),
        ({"HTTPS_PROXY": "p"}, REQUESTS, "HTTPS_PROXY"),
        ({"HTTPS_PROXY": "p", "https_proxy": "q"}, URLLIB, "https_proxy"),
        ({"HTTPS_PROXY": "p", "https_proxy": ""}, URLLIB, ""),
        ({"HTTP_PROXY": "p"}, REQUESTS, ""),
        ({"ALL_PROXY": "p"}, REQUESTS, "ALL_PROXY"),
        ({"ALL_PROXY": "p"}, URLLIB, ""),
        ({"HTTPS_PROXY": "p", "NO_PROXY": ".stsci.edu"}, REQUESTS, ""),
        ({"HTTPS_PROXY": "p", "no_proxy": "elsewhere"}, REQUESTS, "HTTPS_PROXY"),
    ],
)  # fmt: skip
def test_which_variable_names_the_proxy(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], client: Client, name: str
) -> None:
    """Oracle: by hand; for requests, which proxy it would take itself."""
    assert proxy_variable(SERVER, environment, client) == name
    if client is REQUESTS:
        monkeypatch.setattr("os.environ", environment)
        proxies = requests.utils.get_environ_proxies(SERVER)
        assert requests.utils.select_proxy(SERVER, proxies) == (environment[name] if name else None)


@pytest.mark.parametrize("value", ["htps://proxy:80", "proxy:port", "http://", "http://a proxy", "http://u:pw/x@proxy"])
def test_proxies_that_are_none(value: str) -> None:
    """Oracle: the message names the variable, shows no password and says what is expected."""
    said = bad_variable(SERVER, {"HTTPS_PROXY": value}, REQUESTS)
    assert said.startswith("HTTPS_PROXY is ") and "http://HOST:PORT" in said and "pw" not in said


@pytest.mark.parametrize("value", ["proxy", "proxy:3128", "http://u:pw@proxy:3128", "socks5h://proxy"])
def test_proxies(value: str) -> None:
    """Oracle: the forms that requests takes."""
    assert bad_variable(SERVER, {"HTTPS_PROXY": value}, REQUESTS) == ""


def test_certificates(tmp_path: Path) -> None:
    """Oracle: a file that does not exist, one that is no PEM, one that Python's own ssl loads."""
    missing, text = tmp_path / "none.pem", tmp_path / "text.pem"
    text.write_text("-----BEGIN NOTHING-----\n")
    for name, client in (("REQUESTS_CA_BUNDLE", REQUESTS), ("CURL_CA_BUNDLE", REQUESTS), ("SSL_CERT_FILE", URLLIB)):
        for path, why in ((missing, "which does not exist"), (text, "which holds none")):
            said = bad_variable(SERVER, {name: str(path)}, client)
            assert said == f"{name} is {path}, {why}; name a file of certificates (PEM), or unset it"
            assert bad_variable("http://mirror", {name: str(path)}, client) == ""  # it plays no part there
        assert bad_variable(SERVER, {name: str(tmp_path)}, client) == ""
    bundle = requests.certs.where()
    ssl.create_default_context(cafile=bundle)
    assert bad_variable(SERVER, {"REQUESTS_CA_BUNDLE": bundle, "CURL_CA_BUNDLE": str(missing)}, REQUESTS) == ""
    assert bad_variable(SERVER, {"SSL_CERT_FILE": str(missing)}, REQUESTS) == ""

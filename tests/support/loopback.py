"""The HTTP server that stands behind the stand-ins for MAST and CRDS."""

from __future__ import annotations

from http.server import ThreadingHTTPServer
from typing import Any


class QuietServer(ThreadingHTTPServer):
    """Waits for nobody at its end, and says nothing of clients that went away.

    A traceback that a left-over thread prints parses code, which disturbs whoever parses code at that moment (CPython
    3.11: "AST constructor recursion depth mismatch").
    """

    daemon_threads = True
    block_on_close = False

    def handle_error(self, *args: Any) -> None:
        """Say nothing."""

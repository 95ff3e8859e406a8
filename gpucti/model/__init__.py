"""The trap model: the PCTETAB reference table, and the levels and profiles made of it."""

from typing import TYPE_CHECKING

from gpucti._lazy import submodules

if not TYPE_CHECKING:
    __getattr__ = submodules(__name__)

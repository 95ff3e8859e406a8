"""Sphinx configuration: ``python -m sphinx -W docs docs/_build`` with the extra ``docs``."""

project = "gpucti"
author = "The gpucti developers"
copyright = "2026, the gpucti developers"  # noqa: A001 -- Sphinx's name
extensions = ["myst_parser"]
myst_heading_anchors = 2
exclude_patterns = ["_build"]
html_title = "gpucti"

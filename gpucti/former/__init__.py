"""Modules under the names they had before the folders: each file stands for another module and becomes it on import.

The folder is part of the search path of `gpucti` itself, so that ``import gpucti.simulate`` finds ``simulate.py`` here.
"""

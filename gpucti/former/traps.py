"""``gpucti.traps`` is `gpucti.model.traps`."""

import sys

import gpucti.model.traps

sys.modules[__name__] = gpucti.model.traps

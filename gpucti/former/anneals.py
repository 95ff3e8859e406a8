"""``gpucti.anneals`` is `gpucti.darks.anneals`."""

import sys

import gpucti.darks.anneals

sys.modules[__name__] = gpucti.darks.anneals

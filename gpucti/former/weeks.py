"""``gpucti.weeks`` is `gpucti.darks.weeks`."""

import sys

import gpucti.darks.weeks

sys.modules[__name__] = gpucti.darks.weeks

"""``gpucti.crds`` is `gpucti.references.crds`."""

import sys

import gpucti.references.crds

sys.modules[__name__] = gpucti.references.crds

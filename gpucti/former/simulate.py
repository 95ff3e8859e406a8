"""``gpucti.simulate`` is `gpucti.synthetic.scenes`."""

import sys

import gpucti.synthetic.scenes

sys.modules[__name__] = gpucti.synthetic.scenes

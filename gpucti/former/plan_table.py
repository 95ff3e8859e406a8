"""``gpucti.plan_table`` is `gpucti.pipeline.planning.text`."""

import sys

import gpucti.pipeline.planning.text

sys.modules[__name__] = gpucti.pipeline.planning.text

"""A synthetic STIS visit: the instrument, the sky, the detector, and the files they leave; see `simulate_visit`.

Published figures are used where there are any (gains, plate scale, dispersions, wavelength ranges); sensitivities,
distortions, traces and lamps are smooth inventions. What matters is that the reference files describe exactly the
instrument that made the exposures.
"""

from typing import TYPE_CHECKING

from gpucti._lazy import submodules
from gpucti.synthetic.schedule import Observation
from gpucti.synthetic.visit import Visit, simulate_visit

__all__ = ["Observation", "Visit", "simulate_visit"]

if not TYPE_CHECKING:
    __getattr__ = submodules(__name__)

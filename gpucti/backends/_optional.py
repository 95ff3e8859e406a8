"""Packages that not everybody has, and that can fail in any way: what they raise becomes a reason and a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from gpucti.backends.base import Backend
from gpucti.errors import BackendUnavailable, GpuctiError, in_brief
from gpucti.options import CorrectionOptions

#: What `prove` corrects: rows and columns enough for every step of the noise split.
_SHAPE = (1, 4, 4)
_OPTIONS = CorrectionOptions(read_noise=5.0, noise_model=1, oversub_thresh=-15.0, sim_nit=1, shft_nit=1)


@contextmanager
def needed(found: str, remedy: str, *, broken: bool = True) -> Iterator[None]:
    """Turn whatever is raised inside into `BackendUnavailable`, with its first line in brackets after `found`."""
    try:
        yield
    except GpuctiError:
        raise
    except Exception as error:
        raise BackendUnavailable(f"{found} ({in_brief(error)})", remedy=remedy, broken=broken) from error


def is_absent(package: str, error: Exception) -> bool:
    """Tell whether an import failed because the package is not there; else it is, and does not work."""
    return isinstance(error, ModuleNotFoundError) and error.name == package


def prove(backend: Backend) -> Backend:
    """Return the backend after it split a tiny image: what can be imported may not be able to compile or launch.

    Raises
    ------
    BackendUnavailable
        It cannot, for whatever reason, or gives wrong numbers.
    """
    image = np.linspace(100.0, 130.0, num=np.prod(_SHAPE)).reshape(_SHAPE)
    found = f"backend {backend.name!r}: what it needs is installed but cannot compute"
    with needed(found, "another backend can: --device cpu or numpy"):
        backend.describe()
        signal, noise = (backend.asnumpy(part) for part in backend.split_noise(backend.asarray(image), _OPTIONS))
        if not np.allclose(signal + noise, image, rtol=1e-12) or not np.any(noise):
            raise ArithmeticError("wrong numbers for a tiny image")
    return backend

"""What is imported at its first use: our modules, so that `import gpucti` is light; packages that not everybody has."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from gpucti.errors import MissingPackageError

#: The module that is tried, where it is not called as its package.
_MODULES = {"pillow": "PIL", "matplotlib": "matplotlib.figure"}


def submodules(package: str) -> Callable[[str], ModuleType]:
    """Return the ``__getattr__`` of a package: ``package.name`` imports the module of that name.

    Packages hide it from type checkers, to which every ``package.anything`` would be right otherwise.
    """

    def load(name: str) -> ModuleType:
        full = f"{package}.{name}"
        if name.startswith("__") or find_spec(full) is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return import_module(full)

    return load


def require(package: str, use: str) -> None:
    """Import a package that an installation may lack.

    Parameters
    ----------
    package : str
        Its name for ``pip install``.
    use : str
        What needs it.

    Raises
    ------
    MissingPackageError
        It is not installed, or cannot be imported for any other reason.
    """
    module = _MODULES.get(package, package)
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        missing = package if error.name == module else str(error.name or error)
        also = "" if missing == package else f", and {package} needs it"
        raise MissingPackageError(
            f"{use} needs the package {missing}, which is not installed{also}; pip install {missing}"
        ) from error
    except Exception as error:
        raise MissingPackageError(
            f"{use} needs the package {package}, which cannot be imported ({type(error).__name__}: {error}); "
            f"pip install --force-reinstall {package}"
        ) from error

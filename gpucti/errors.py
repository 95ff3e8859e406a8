"""The exceptions of gpucti, and when each is raised.

Every message says where, what was found, what is allowed and what to do. Each class also derives from the
built-in a caller would expect, so that ``except ValueError`` keeps working.
"""


class GpuctiError(Exception):
    """Base of every error that gpucti raises on purpose."""


class InputError(GpuctiError, ValueError):
    """An array, an option or a science file is not what the correction needs."""


class _MessageAlone(Exception):
    def __str__(self) -> str:
        """Return the message alone (OSError would print a tuple)."""
        return str(self.args[0]) if self.args else ""


class MissingFileError(_MessageAlone, InputError, FileNotFoundError):
    """A named input file does not exist."""


class ReferenceFileError(GpuctiError, ValueError):
    """A reference file is missing, damaged, of an unknown version, or does not cover the date."""


class BackendUnavailable(GpuctiError, RuntimeError):
    """A backend was asked for by name and cannot run here; the message says why."""


class OutputExistsError(_MessageAlone, GpuctiError, FileExistsError):
    """An output file exists and overwriting was not asked for."""


class EngineError(GpuctiError, RuntimeError):
    """A calibration engine cannot run here, or failed; the message names the exposure and the step."""


class MissingDarksError(_MessageAlone, InputError, FileNotFoundError):
    """Component darks that the anneal list names are not in the folder of darks."""


class FolderInUseError(GpuctiError, RuntimeError):
    """Another run works in the folder."""


class PlanError(InputError):
    """A run cannot begin: the message lists everything that stands in its way."""


class ArchiveError(GpuctiError, RuntimeError):
    """The archive cannot be reached, does not answer as it should, or cannot decide; the message says how to go on."""

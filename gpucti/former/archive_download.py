"""``gpucti.archive_download`` is `gpucti.archive.download`."""

import sys

import gpucti.archive.download

sys.modules[__name__] = gpucti.archive.download

"""``python -m gpucti`` is the command ``gpucti``."""

import sys

from gpucti.cli import main

sys.exit(main())

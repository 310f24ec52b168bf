"""`python -m safelight` is `safelight`."""

import sys

from safelight.apps.cli import main

sys.exit(main())

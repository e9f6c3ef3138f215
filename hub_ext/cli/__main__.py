"""``python -m hub_ext.cli``."""

import sys

try:
    from hub_ext.cli import main  # here, so that a Ctrl-C while it loads is no traceback

    main()
except KeyboardInterrupt:
    sys.exit(130)

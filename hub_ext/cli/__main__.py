"""``python -m hub_ext.cli``."""

from hub_ext.cli import main

main()

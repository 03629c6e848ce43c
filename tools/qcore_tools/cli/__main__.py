"""``python -m qcore_tools.cli`` is qcore-cli."""

from __future__ import annotations

import sys

from qcore_tools.cli.main import main

sys.exit(main())

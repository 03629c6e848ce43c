"""``python -m qcore_tools.select`` is select-tool."""

from __future__ import annotations

import sys

from qcore_tools.select.main import main

sys.exit(main())

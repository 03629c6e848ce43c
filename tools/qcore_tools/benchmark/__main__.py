"""``python -m qcore_tools.benchmark`` is benchmark-tool."""

from __future__ import annotations

import sys

from qcore_tools.benchmark.main import main

sys.exit(main())

"""``python -m qcore_tools.wal`` is wal-tool."""

from __future__ import annotations

import sys

from qcore_tools.wal.main import main

sys.exit(main())

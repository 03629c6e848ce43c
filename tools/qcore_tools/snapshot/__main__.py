"""``python -m qcore_tools.snapshot`` is snapshot-tool."""

from __future__ import annotations

import sys

from qcore_tools.snapshot.main import main

sys.exit(main())

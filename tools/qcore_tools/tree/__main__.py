"""``python -m qcore_tools.tree`` is tree-tool."""

from __future__ import annotations

import sys

from qcore_tools.tree.main import main

sys.exit(main())

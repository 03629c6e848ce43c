"""Without the extension nothing here is collected; `test_extension.py` one folder up then says so."""

from __future__ import annotations

from qcore.engine.openraft.extension import extension_problem

collect_ignore_glob = [] if extension_problem() is None else ["test_*.py"]

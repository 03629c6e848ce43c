"""Tests mirror the sources: `tests/<room>/test_<module>.py`."""

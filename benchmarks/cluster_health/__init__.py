"""What a cluster of three nodes must bear; see `__main__.py`."""

"""Three nodes of qcore beside three of etcd; see `__main__.py`."""

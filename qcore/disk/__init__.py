"""A node's data directory: the log, the vote and the other small files, and what a start checks about them.

`qcore.disk.directory.Directory` is the door to this room. Nothing here knows entities, engines or sockets.
"""

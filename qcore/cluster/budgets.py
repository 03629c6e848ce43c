"""What the peer link spends at most: each bound in seconds, bytes or counts, its unit in its name."""

from __future__ import annotations

# -- who comes ---------------------------------------------------------------------------------------------

STRANGERS = 64
"""Accepted sockets that have not proved to be nodes; when one more comes, the oldest one goes."""

HANDSHAKE_SECONDS = 5.0
"""Time from a socket to the end of the handshake on it."""

HANDSHAKE_BYTES = 32 << 10
"""What may come on a connection before the other side has proved the secret."""

# -- dialling ----------------------------------------------------------------------------------------------

FIRST_PAUSE_SECONDS = 0.05
"""Pause after the first attempt in vain; it doubles with each."""

LONGEST_PAUSE_SECONDS = 1.0
"""Longest pause between two attempts at an address where nobody answers."""

REFUSED_PAUSE_SECONDS = 5.0
"""Pause after a refusal by name: somebody has to put something right first."""

SPARE_PAUSE_SECONDS = 30.0
"""Pause until an address is looked at again whose node is linked by another one, or which is this node itself."""

STEADY_SECONDS = 5.0
"""Life of a connection after which the next pause is the first one again."""

ADDRESSES = 256
"""Addresses that are dialled at most."""

# -- connections -------------------------------------------------------------------------------------------

PING_SECONDS = 1.0
"""Silence after which a connection is pinged."""

SILENCE_SECONDS = 4.0
"""Silence after which a connection is given up, unless what is being sent still goes out."""

GOODBYE_SECONDS = 0.5
"""Time for goodbyes to leave when the link stops."""

WRITE_AHEAD_BYTES = 64 << 10
"""What waits in a socket's buffer before no more is encoded: requests that wait here can still be cancelled."""

FRAME_MESSAGES_BYTES = 64 << 10
"""Messages that share a frame; a larger one has a frame of its own."""

OPEN_CALLS = 10_000
"""Requests of one peer on one connection that are being carried out; more are answered busy."""

# -- notices -----------------------------------------------------------------------------------------------

NOTICE_SECONDS = 10.0
"""Time in which notices of the same kind about the same peer are counted rather than told, the first time."""

LONGEST_NOTICE_SECONDS = 640.0
"""The same where it goes on and on."""

NOTICE_KEYS = 1024
"""Kinds and peers of which notices are counted; past it the oldest ones are forgotten."""

# -- snapshots ---------------------------------------------------------------------------------------------

CHUNK_BYTES = 256 << 10
"""Piece of a snapshot file in one request."""

CHUNKS_AHEAD = 4
"""Pieces that are sent before the first one is confirmed."""

CHUNK_SECONDS = 30.0
"""Time for a piece to be confirmed: without that the transfer is given up, and may go on where it was."""

INSTALL_SECONDS = 600.0
"""Time for a snapshot that has come whole to be taken over by the state."""

PARTIAL_SNAPSHOTS = 2
"""Snapshots that came in part and are kept so that they can go on; the oldest one goes first."""

# -- discovery ---------------------------------------------------------------------------------------------

INTERFACE_LOOK_SECONDS = 10.0
"""Between two looks at the network interfaces of this machine, and tries to announce this node there."""

RESOLVE_MILLISECONDS = 3000
"""Time for a service that was heard of to say where it is."""

PROBE_MILLISECONDS = 700
"""Time for another node to say that it has the name that this one wants."""

SIGHTINGS = 256
"""Services of which the addresses are kept: anybody may announce some."""

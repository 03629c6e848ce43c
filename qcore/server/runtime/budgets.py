"""What the server spends at most: each bound in seconds, bytes or counts that is no setting, its unit in its name.

A setting bounds what an operator may want otherwise; these bound what only a measurement would change.
"""

from __future__ import annotations

# -- the event loop ----------------------------------------------------------------------------------------

SLICE_SECONDS = 0.004
"""Time of steps, and of what connections do at once, in one turn of the loop before it serves others."""

BUSY_SLICE_DIVISOR = 4
"""How many times shorter a slice is while requests come."""

BUSY_SECONDS = 0.02
"""Time since the last request during which more are expected."""

EVENTS_SLICE_SECONDS = 0.001
"""Slice for telling listeners: short, as whoever made the event has most likely more to ask."""

DEADLINE_SWEEP_SECONDS = 0.25
"""Time between two looks for calls that wait and whose deadline has passed."""

# -- connections -------------------------------------------------------------------------------------------

MEGABYTE = 1 << 20
"""Bytes of the unit of settings that end in ``_mb``."""

REFUSED_CONNECTIONS = 32
"""Sockets above `max_connections` that are kept for the moment that a refusal takes."""

HANDSHAKE_SECONDS = 10.0
"""Time a client has from its socket to its request."""

CLOSE_SECONDS = 5.0
"""Time a client has to agree to a close, or to read why it was cut off."""

RECEIVE_CHUNK_BYTES = 8 << 10
"""What is taken apart at a time: full of empty frames it takes 4 ms, and a read of the socket brings 256 KiB."""

UNFINISHED_MESSAGES = 8
"""Messages of the largest size that may have come in part, over all connections."""

MESSAGE_SECONDS = 60.0
"""Time a client has from the first byte of a message to its last."""

EVENTS_WRITE_BYTES = 1 << 16
"""Events that go to a socket in one write."""

OPEN_CALLS = 1000
"""Requests of one client under way at a time, a batch array apart; what it sends beyond waits with its connection."""

OPEN_CALL_BYTES = 16 << 10
"""Size from which on a request counts for one more of them, so that of the largest ones few are under way."""

TIMEOUT_SECONDS = 86_400.0
"""Longest time-out a request may ask for."""

ANSWERS_PER_SEND_QUEUE = 2
"""Answers of the largest size that fit into `send_queue_mb`: a client that reads is not cut off for one answer."""

# -- reads -------------------------------------------------------------------------------------------------

KEPT_FILTERS = 256
"""Filters kept as they were parsed, and as many as they were bound to types."""

# -- writes ------------------------------------------------------------------------------------------------

WAITING_WRITES_BYTES = 256 << 20
"""Size of the writes that may wait when another one comes."""

LONG_COMMAND_BYTES = 1 << 20
"""Size above which a command travels in parts."""

SIZED_COMMAND_BYTES = 64 << 10
"""Size above which it is worth a look whether any state could take a command, before it is in the log."""

COMMAND_PART_BYTES = 512 << 10
"""Size of such a part."""

INLINE_READS_SECONDS = 1.0
"""Time of all reads of one pipeline or transaction: nobody else is served meanwhile."""

DISK_LOOK_SECONDS = 0.5
"""Time between two looks at how full the disk is."""

FORWARDED_CALLS = 256
"""Writes that go to the leader in one batch."""

FORWARDED_BYTES = 256 << 10
"""Size of the writes in such a batch; the one that reaches it is the last."""

FORWARDED_BATCHES = 16
"""Batches that are at the leader at a time; what comes meanwhile makes the next one larger."""

FORWARD_RETRY_SECONDS = 0.05
"""Time after which the leader is asked again that could not be reached."""

FORWARD_GRACE_SECONDS = 0.5
"""Time in which a node that led has to say what became of the writes it was sent, before others go to the next one."""

FORWARDED_PARTS_BYTES = 256 << 20
"""Size of the parts of long writes that one other node may have sent, and whose rest has not come."""

FILE_BLOCK_BYTES = 4096
"""What the smallest entry takes of the disk."""

READY_FILES_SHARE = 4
"""Part of the disk's free space, beyond what is kept, that files for the next entries may take: a fourth."""

DIGEST_CHECK_ENTRIES = 10_000
"""Entries after which the leader proposes a digest check."""

DIGEST_CHECK_SECONDS = 60.0
"""Time after the first entry that no digest check covers, in which the leader proposes one."""

# -- snapshots ---------------------------------------------------------------------------------------------

SNAPSHOT_TURN_SECONDS = 0.002
"""Time of making the lines of a snapshot before others are served."""

SNAPSHOT_SHARE = 3
"""While requests come, this many times as long is left to them between two such turns."""

SNAPSHOT_BUSY_SECONDS = 0.05
"""Time since the last request during which more are expected, for that."""

SNAPSHOT_CHUNK_BYTES = 64 << 10
"""What is handed to the thread that writes a snapshot at a time."""

SNAPSHOT_AHEAD_BYTES = 4 << 20
"""What may wait for that thread."""

SNAPSHOT_PAUSE = 9
"""Times its own duration that passes after a snapshot before limits of the log ask for the next."""

SNAPSHOT_LEFT_SHARE = 4
"""Part of the reserve's last slice that a snapshot leaves to the log: a fourth."""

RELIEF_SECONDS = 0.1
"""Time at least between two tries to make room on a full disk: deletions and writes may have to wait for it."""

RELIEF_PAUSE = 3
"""Times its own duration that passes after such a try before the next, unless deletions would have to wait."""

SNAPSHOT_RETRY_SECONDS = 60.0
"""Time that passes after a snapshot that failed."""

LOADED_LINES = 50
"""Lines of a received snapshot that are loaded between two pauses."""

# -- start and stop ----------------------------------------------------------------------------------------

BACKLOG_CONNECTIONS = 1024
"""Connections the kernel takes in our name before we accept them, all of which may be accepted in one turn."""

SPARE_FILES = BACKLOG_CONNECTIONS + 256
"""Open files that must be left for what is no connection, above all the log's: without one, a write fails."""

DISK_REPORT_SECONDS = 1.0
"""Time between two looks of a node of a cluster at its disk, and two times that it says that it is full."""

DISK_REPORT_LIFE_SECONDS = 3.5
"""So long what another node has said of its disk counts: it may be gone."""

REFUSED_SECONDS = 30.0
"""Time for which INFO names a node that was refused: it tries again every few seconds, and is told of every ten."""

REFUSED_NODES = 100
"""Most of these that are kept: anybody may knock."""

STORED_LOOK_SECONDS = 1.0
"""Between two looks of a leader at what the disks of the others have confirmed; it looks when a link is lost, too."""

FORMATION_TICK_SECONDS = 1.0
"""Between two times that a node says again where it stands while a cluster is formed."""

PLACE_LOOK_SECONDS = 1.0
"""Time between two looks whether the node's directory is still where it was; until then writes go where it is now."""

STOP_SECONDS = 10.0
"""Time a stop may take by default; what is not finished by then is answered with an error."""

ENGINE_STOP_SHARE = 5
"""Part of that which is kept for the engine, however long the calls take: a fifth."""

ENGINE_STOP_SECONDS = 1.0
"""Time the engine has at least to end, however short a stop is to be."""

GOODBYE_SECONDS = 1.0
"""Time that clients have to take their last answers when the node stops."""

# -- events ------------------------------------------------------------------------------------------------

WATCH_TICK_SECONDS = 5.0
"""Time without an event after which a listener is sent a bookmark, at the latest after twice as long."""

FILTER_SECONDS = 0.5
"""Time that the filter of listeners may take between two ticks."""

DISPATCH_STEP_UNITS = 50
"""Units of work between two pauses of the dispatcher: a judgement or a message is one, and what costs more is more."""

DISPATCH_UNIT_SECONDS = 20e-6
"""Time of a filter that counts for a unit."""

DISPATCH_UNIT_BYTES = 1 << 14
"""Length of a message that counts for a unit."""

DISPATCH_UNIT_LOOKUPS = 10
"""Events looked up for a path that count for a unit."""

JUDGED_EVENTS = 10_000
"""Events judged for interests before those so far are told."""

TRACKED_ENTITIES = 1_000_000
"""Ids that the routes of one path may hold."""

CATCH_UPS = 4
"""Places for the catch-ups of one client; one that needs much memory takes all of them."""

CATCH_UP_STEP_ENTITIES = 50
"""Entities or events between two pauses of a catch-up."""

CATCH_UP_STEP_DELETED = 500
"""Events between two pauses that are searched for deleted entities."""

KEPT_CONTEXT_BYTES = 4096
"""Longest context that is kept for the next field of an entity."""

FREE_STEP_ENTITIES = 500
"""Entities of a path that are let go between two pauses."""

# -- documents ---------------------------------------------------------------------------------------------

EXPORT_IDLE_SECONDS = 60.0
"""Time after its last read that an export stays."""

EXPORT_CHUNK_BYTES = 512 << 10
"""Length of a chunk of an export, or a little more."""

UPLOAD_IDLE_SECONDS = 600.0
"""Time after its last use that an upload stays."""

UPLOADS = 64
"""Uploads kept at a time, those among them that were planned and would make room."""

ORPHAN_SECONDS = 5.0
"""Time an upload or export stays after its connection was lost: its client may connect again and go on."""

UPLOAD_PIECE_BYTES = 1 << 20
"""Text of an upload that one node sends another one at a time."""

UPLOAD_ANSWER_SECONDS = 5.0
"""So long a node waits for a piece; who does not answer has nothing."""

UPLOAD_NAME_CHARACTERS = 64
"""Length of an upload's name."""

PLAN_LINES = 10_000
"""Lines of a plan that a client may ask for."""

# -- memory and log lines ----------------------------------------------------------------------------------

COLLECTOR_LOOK_SECONDS = 5.0
"""Time between two looks of the collector."""

COLLECTOR_IDLE_SECONDS = 2.0
"""Time without a call or an apply that counts as idle."""

COLLECTION_SECONDS = 600.0
"""Time between two full collections, and between two times that memory is given back without a burst."""

FOLLOWED_COLLECTIONS = 8
"""Collections of what is not old since the last full one, up to which a leader runs the next: each left at most seven
milliseconds' worth (`YOUNG_COLLECTIONS`)."""

LONG_COLLECTION_SECONDS = 0.05
"""A collection that took longer is made cheap for the next time by freezing what survived."""

MEMORY_BURST_BYTES = 64 << 20
"""Growth of resident memory between two looks at least for memory to be given back at once."""

YOUNG_CONTAINERS = 5_000
YOUNG_COLLECTIONS = 5
"""New containers between two automatic collections, and how many of these until one looks at all that are not old:
seven milliseconds' worth. With 20,000 that one took 65 where all of them lived, and all together twice as long."""

SLOW_LOG_SECONDS = 1.0
"""Time between two log lines of one kind of slow work."""

SLOW_REQUESTS = 128
"""Requests that took long and are kept, the newest ones."""

SLOW_PARAMS_CHARACTERS = 200
"""What is kept of the params of one."""

SLOW_PARAMS_BYTES = 64 << 10
"""Size above which a request's params are not looked at for that."""

LOOP_LOOK_SECONDS = 0.5
"""Time between two looks how late the event loop is."""

LEADER_ANSWER_SECONDS = 1.0
"""Time a leader has to tell a node that starts how far the log is committed; then it is asked again."""

LEADER_PATIENCE_SECONDS = 10.0
"""Time without a leader after which a member that starts counts as started, though it could not catch up."""

STARTED_LOOK_SECONDS = 0.1
"""Time between two looks whether it has caught up."""

STATUS_SECONDS = 2.0
"""Time between two looks whether systemd's line on the node has changed."""

EXTEND_SECONDS = 120.0
"""More time that a start asks systemd for, again and again, while it gets on."""

OPEN_SECONDS = 600.0
"""The same for opening a data directory, which cannot ask in between."""

PROGRESS_SECONDS = 1.0
"""Time between two words to systemd while snapshot and log are read."""

DISK_PATIENCE_SECONDS = 300.0
"""Time a disk may take for a write before the node counts as hung."""

READY_LAG_ENTRIES = 1000
"""Committed entries that a node may have to apply yet and still be ready."""

READY_QUORUM_SECONDS = 3.0
"""Time without a word of a quorum after which a leader is not ready."""

CLIENTS_STEP = 500
"""Clients listed between two pauses."""

LOGGED_DEPTH = 6
"""Nesting of a detail of a log line; what is deeper is shown as text."""

HAND_OVER_LOOK_SECONDS = 0.1
"""Between two looks of a witness that leads at who can lead instead."""

WITNESS_SNAPSHOT_SECONDS = 2.0
"""Between two times that a witness whose log is over its limits asks for a snapshot."""

MEMBERSHIP_LOOK_SECONDS = 0.5
"""Between two looks of a leader at who is to be added, promoted or removed."""

ORDER_ANSWER_SECONDS = 0.5
"""So long before an order's deadline the leader says why it is not carried out yet."""

REMOVED_PATIENCE_SECONDS = 2.0
"""So long a node that was told that it is removed waits for one that talks to it, before it stops."""

FORMATION_ANSWER_SECONDS = 2.0
"""So long a message of formation may be under way."""

"""Every event that the log may tell: its MESSAGE_ID, and what the journal's catalog says of it.

An id is made once, at random (`systemd-id128 new`), and never changed: people search for it, and alerts rest on it.
Words such as @QCORE_MS@ are fields of the line. `packaging/systemd/qcore.catalog` is made of this table by `catalog`.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["EVENTS", "Event"]


class Event(NamedTuple):
    """A kind of log line: its 128-bit id in hex, what it says in short, why it comes, what to do ("" for nothing)."""

    id: str
    subject: str
    cause: str
    action: str = ""


EVENTS: dict[str, Event] = {
    # -- start and stop --------------------------------------------------------------------------------------
    "listening": Event(
        "35fe48d6c8774a059d521abc553eeb3e",
        "The node serves",
        "The node has read its data and takes requests at @QCORE_URL@. In a cluster /readyz tells whether it "
        "should get any.",
    ),
    "log_replayed": Event(
        "a81edea2a43a4f1986889e0d7d63dd7c",
        "Snapshot and log were read",
        "The state is that of the newest snapshot and of the log behind it: @QCORE_ENTITIES@ entities at "
        "revision @QCORE_REVISION@, after @QCORE_SECONDS@ s.",
    ),
    "stopped": Event(
        "956d3bb63d024594b6d4c8f5b6e3cbe9",
        "The node has stopped",
        "It was told to, and has finished what it had begun.",
    ),
    "stopped_early": Event(
        "1ce95ff9e8884b13bb1a37d393686997",
        "The node has stopped before everything was finished",
        "A disk, a quorum or a client did not answer within the time for a stop. What was acknowledged is on "
        "disk; writes that were under way were answered as unknown.",
        "Look for slow_fsync before it, and give TimeoutStopSec at least 30 s.",
    ),
    "starting_anew": Event(
        "9ecb4877330d422fb72c41d097012cf2",
        "The node starts again in its process",
        "Its disk has another place in the cluster than before, such as that of a new generation of the node.",
    ),
    "fatal": Event(
        "fd8ead7a5a024929a781dd2c24c1cc10",
        "The node ends",
        "It cannot go on; the message says why, and the exit code says whether a new start may help.",
        "Read the message. Exit code 65: docs/data-directory.md. 70: this replica differs from the others; "
        "put its data aside and let it join anew. 74: look after the disk. 69 and 77: the id is in use, or "
        "the node was removed.",
    ),
    "few_open_files": Event(
        "02ef4d08289042dc827f9121468ac61c",
        "Fewer clients than wanted may connect",
        "The limit of open files does not leave room for max_connections.",
        "Raise LimitNOFILE of the unit, or lower max_connections.",
    ),
    "directory_warning": Event(
        "8bcd308ebc8b4ccb8952f6a63bc5929a",
        "Something about the data directory is unwise",
        "What it is the message says; such as a file system without locks.",
        "Follow the message: as long as it is so, qcore cannot keep two processes apart.",
    ),
    "thread_hangs": Event(
        "8eb298f1981447b88e36a78deb0df193",
        "A thread of the node stands still",
        "A thread of the node has not answered for half of WatchdogSec. systemd gets no sign of life, and "
        "ends the process if that goes on.",
        "If it recurs, report it with the lines after 'Fatal Python error: Aborted', which say where each "
        "thread stood. A disk that hangs counts only after 5 minutes: look for slow_fsync.",
    ),
    "log_lines_lost": Event(
        "ae1b046bff144356b3e91753728cd1a3",
        "Log lines were lost",
        "journald took no more lines at that moment, and qcore does not wait for it.",
        "Look whether journald is overloaded: journalctl -u systemd-journald.",
    ),
    "library_message": Event(
        "4f4a44840d9c4ae594b606ab9b5a9425",
        "A message of a library",
        "A library that qcore uses has logged it.",
    ),
    # -- settings --------------------------------------------------------------------------------------------
    "settings_warning": Event(
        "ea3ec81ef2d44fd8af6f8db86adba956",
        "A setting is legal and unwise",
        "The message names it.",
        "Change it as the message says.",
    ),
    "reloaded": Event(
        "61d9cbd49ca94fa0b1932153c618644e",
        "Settings were loaded again",
        "SIGHUP (systemctl reload) was sent. QCORE_SETTINGS names what has changed.",
    ),
    "reload_failed": Event(
        "94316421072c40b5ab515cb8a5f1535b",
        "Settings could not be loaded",
        "At SIGHUP the settings were wrong; those before stay in force.",
        "Mend what the message names (qcore config check) and reload again.",
    ),
    "restart_needed": Event(
        "1dfc94e66d82495992d7d3b2ec73afa2",
        "Settings wait for a restart",
        "They have changed, and are read at a start only: @QCORE_SETTINGS@.",
        "Restart the node when that suits; in a cluster one node after the other.",
    ),
    "feature_level_is_higher": Event(
        "66f0d25735e248b7a3c7e7568766eaed",
        "max_feature_level has no effect",
        "The store is at feature level @QCORE_LEVEL@ already, from which there is no way back.",
        "Remove the setting, or raise it.",
    ),
    "level_raised": Event(
        "7ab5ef515a4b426eb9f03fad40242dd1",
        "The feature level was raised",
        "All members know it. Versions that know less refuse the directory from now on.",
    ),
    "schemas_loaded": Event(
        "fb4f28e9e26a4dde839740b46ae40047",
        "The schema file was loaded",
        "The store was fresh.",
    ),
    "schema_file_differs": Event(
        "53d6e8f381b245fd8ffb928bcb18b79c",
        "The schema file is another one than was loaded",
        "A schema file is loaded once, into a fresh store. What it says now has no effect.",
        "Change schemas by qcore-cli SETSCH, and take config_file out of the settings.",
    ),
    # -- who leads -------------------------------------------------------------------------------------------
    "leading": Event(
        "5f64548ee31d4e66af62cedfe24bd64d",
        "This node leads",
        "It was elected in term @QCORE_TERM@.",
        "Nothing, unless it comes often: then look for slow_fsync, thread_hangs and link_lost of this time.",
    ),
    "following": Event(
        "ac38aa7dbc21405eb291edf9b935a24c",
        "This node follows",
        "Another node leads in term @QCORE_TERM@, or nobody does yet.",
        "Nothing, unless nobody leads for long: qcore-cli INFO says what is missing.",
    ),
    "transferring": Event(
        "f6ec0334058a4d7bbb9e51c588a82019",
        "Leadership is being handed over",
        "An operator asked for it, or this node stops.",
    ),
    "transfer_failed": Event(
        "72b31d8431404fdca70e2582f34127a8",
        "Leadership was not handed over",
        "The other node did not take it in time. Writes go on by the outcome of an election.",
        "Look whether that node is well: qcore-cli CLUSTER.",
    ),
    # -- the cluster -----------------------------------------------------------------------------------------
    "outlook": Event(
        "f166323af86049d1aafcac70b23e7bc3",
        "What the next failure does",
        "The members have changed. The message says how many nodes may fail now.",
        "Do what the message says where it says something.",
    ),
    "membership_change": Event(
        "00ba66a7e0224a9d9826ab14a2bb9500",
        "The membership is being changed",
        "The message says how: a node joins, gets a vote, moves or leaves.",
    ),
    "membership_unchanged": Event(
        "a11740a74265400bb7f3322fc507424f",
        "The membership was not changed",
        "The change was refused, or too few nodes answered; it is tried again.",
        "If it comes again and again: qcore-cli CLUSTER says why a node waits.",
    ),
    "min_nodes": Event(
        "c30d3f1c055a4e4a9976becafe91a55c",
        "Two clusters may form",
        "auto_init forms a cluster of min_nodes blank nodes. Twice as many that start at the same time "
        "without hearing each other may form two.",
        "Set min_nodes to more than half of all nodes.",
    ),
    "discovery_timeout": Event(
        "2af16364bc254c80a9ff4673e3824c07",
        "The node is in no cluster yet",
        "It goes on waiting; the message says for what.",
        "Start the other nodes, or form a cluster with qcore-cli CLUSTER INIT.",
    ),
    "discovered_node": Event(
        "08c3ddfc0a62498aa60e5ad5b92fee61",
        "A node was found for the cluster",
        "auto_init counts the blank nodes that it is linked with.",
    ),
    "minimum_reached": Event(
        "ef4d5176704c4be7b8a543a6d02aac4d",
        "Enough nodes are there",
        "As many as min_nodes says: the cluster is being formed.",
    ),
    "promised": Event(
        "da6c02944c7b43558ce729e5137342d9",
        "The node has promised to form a cluster",
        "It will form no other one until the named nodes have promised the same, or one refuses.",
        "If one of them never comes: qcore cluster forget-bootstrap, as docs/disaster-recovery.md says.",
    ),
    "promise_dropped": Event(
        "4b77a59098714b40bd2092001c98c26d",
        "A promise to form a cluster is void",
        "One of the named nodes has refused it for ever.",
    ),
    "refused": Event(
        "a3ee160b41bc487f8fc3a5bc86ce6fbe",
        "This node has refused a cluster",
        "It is part of another one, or was not what the other node took it for.",
        "If that is wrong, look at the id, the cluster_id and the secret of both nodes.",
    ),
    "member": Event(
        "096c3ccb2402448287cf3f9f4547d675",
        "The node belongs to a cluster",
        "It is written on its disk, and is never undone.",
        "Set cluster_id as the message says, so that the node never joins another one.",
    ),
    "initializing": Event(
        "3bd3f6cfd42546629dc73cc6e82b6c06",
        "A cluster is being initialized",
        "All nodes that it is to begin with have promised it.",
    ),
    "initialized": Event(
        "d2b6bcfc3d7e4097850474ac538dfbaa",
        "A cluster was initialized",
        "The first membership is in the log.",
    ),
    "initialize_failed": Event(
        "d4d3043bbfea42ec951889176106edfa",
        "A cluster was not initialized",
        "The message says why.",
        "Mend that, and ask again: qcore-cli CLUSTER INIT.",
    ),
    "formation_unreadable": Event(
        "e2d71ccd7b234ac283b5b7f179254d50",
        "A message about forming a cluster was not understood",
        "The other node runs another version.",
        "Run one version on all nodes while a cluster is formed.",
    ),
    # -- the link between nodes ------------------------------------------------------------------------------
    "registered": Event(
        "4f2a4111d4764291802b18b4f8f7f366",
        "The node can be found by mDNS",
        "Its service is announced on the local network.",
    ),
    "discovered": Event(
        "f117c0130b564f0f893f66606c211e75",
        "A node was found by mDNS",
        "Its addresses are tried now; linked follows.",
    ),
    "discovered_stranger": Event(
        "c4b8fc99f5c54e5ab43dc30de851dc43",
        "A node with another secret was found",
        "It announces itself on the same network and knows no secret of this node: it is left alone.",
        "If it belongs to this cluster, give it the same cluster secret.",
    ),
    "discovery_failed": Event(
        "23264e7d04f84fa9acb6697965888b1d",
        "Nodes cannot be found by mDNS",
        "No interface, or no multicast on it. It is tried again.",
        "Name the nodes by --peers where the network blocks multicast.",
    ),
    "linked": Event(
        "7b668cfc20de4ff4b399464627a1ed32",
        "Two nodes are linked",
        "They have proved each other the secret.",
    ),
    "link_lost": Event(
        "1fd872cca97c4354b0168e6071fa63e0",
        "The link to a node is lost",
        "The node has ended or hangs, or the network has.",
        "Look at that node, and at the network between the two.",
    ),
    "dial_failed": Event(
        "6e68309dd94f4e29a8ee2cdd5459cc17",
        "Nobody answered at an address",
        "The address is tried for ever.",
    ),
    "link_refused": Event(
        "00af9119a79b454e97f1ee09f4efff8b",
        "Two nodes do not talk to each other",
        "The word in brackets says why.",
        "wrong_secret, no_secret: give both the same cluster secret. other_cluster: two clusters share a network. "
        "second_run, second_incarnation: two processes have one id. removed: qcore-cli CLUSTER ADD lets the node in "
        "again. vote_behind, log_behind: an older disk was put back; start that node on an empty one.",
    ),
    "link_stranger": Event(
        "84a51d6c3c9e4791b033adfe8d31b92f",
        "Somebody came to the link who is no node",
        "A port scan, a browser, or a node that went away before it had said who it is.",
        "If it comes from where no node is, close the port to it.",
    ),
    # -- the disk --------------------------------------------------------------------------------------------
    "slow_fsync": Event(
        "798b11ac901c4ac2976290e33dbb1da3",
        "The disk is slow",
        "Storing an entry took @QCORE_MS@ ms, more than slow_fsync_ms. Nothing is acknowledged faster than that.",
        "Look at what else writes to this disk (iotop), at SMART, and whether the disk is an SD card. A "
        "leader on a slow disk slows the cluster: qcore-cli CLUSTER TRANSFER.",
    ),
    "disk_full": Event(
        "6243a15d33614ec3a2071d0a01b6e1ea",
        "The disk is nearly full",
        "Less is free than disk_reserve_mb: writes but deletions are refused.",
        "Make room. The message says how much is free.",
    ),
    "disk_has_room": Event(
        "f4c23f7f7b824d4aa8fdeda03c249cde",
        "The disk has room again",
        "Writes are taken again.",
    ),
    "relief_failed": Event(
        "355ee4bb90e147d9ab0ed87e30e4963a",
        "Room could not be made",
        "Old snapshots and log could not be let go.",
        "Make room by hand, and report the traceback.",
    ),
    "snapshot_taken": Event(
        "df5fedd1cca243f481e4d3f9dbd227a8",
        "A snapshot was taken",
        "The state is in one file; the log before the last snapshot goes.",
    ),
    "snapshot_failed": Event(
        "db0e513cd79943b3b5286a8013bdf484",
        "No snapshot was taken",
        "It could not be written. Nothing is lost; the log grows until one is.",
        "The message says why; mostly room on the disk is missing.",
    ),
    "snapshot_kept": Event(
        "e1e1c4bde30a495bb2ad74208a384d51",
        "An old snapshot was not removed",
        "The file could not be removed.",
        "Look at the permissions of the data directory.",
    ),
    "snapshot_damaged": Event(
        "b59cdd2ff43742f081703045bd8a5046",
        "A snapshot is damaged",
        "Its checksum is wrong. An older one and the log are used instead.",
        "Look after the disk: what it read is not what was written. Keep the file for a report.",
    ),
    "snapshot_installed": Event(
        "9d981f31a8654e659314cbc869f34b4c",
        "The state was replaced by another node's",
        "This node was too far behind for the log.",
        "Nothing, unless it comes often: then the node or its network is too slow.",
    ),
    "snapshot_taken_over": Event(
        "642673426dca4ba98a7fce636fe79f83",
        "A witness keeps a snapshot of another node",
        "Its log is over the limits, and goes up to the snapshot before this one.",
        "Nothing.",
    ),
    # -- requests and clients --------------------------------------------------------------------------------
    "slow_request": Event(
        "37c1e3ec659e4e7c8bc619ba6ff2e501",
        "A request took long",
        "@QCORE_METHOD@ took @QCORE_MS@ ms, more than slow_request_ms; @QCORE_LEFT_OUT@ others of the last "
        "second were left out.",
        "qcore-cli SLOWLOG shows where the time went.",
    ),
    "slow_apply": Event(
        "bc7f0b52c5fb4cf0a7579ca5108098ef",
        "A command took long to apply",
        "@QCORE_METHOD@ took @QCORE_MS@ ms, more than slow_apply_ms, and everybody waited meanwhile.",
        "Split long pipelines and transactions.",
    ),
    "connection_opened": Event(
        "bc0e3ed2789148f6b0eaaecece1bc79a",
        "A client has connected",
        "@QCORE_LEFT_OUT@ others of the last second were left out.",
    ),
    "connection_closed": Event(
        "ec5629b84394460898f32716b32739b1",
        "A client is gone",
        "Its connection has ended.",
    ),
    "client_silent": Event(
        "b6e55b7341594e31a9c2e68e425cbd86",
        "A client did not answer a ping",
        "Its connection was closed: it hangs, or the network is gone.",
    ),
    "client_cut_off": Event(
        "5b1a8566f43e4402a340d7d02836612b",
        "A client was cut off",
        "It did not read its answers: more than send_queue_mb waited for it.",
        "Look at that program: it asks for more than it reads.",
    ),
    "message_cut_off": Event(
        "d11931b5a8a14286ae47f19e8040d549",
        "A client was cut off in the middle of a message",
        "It sent a message that was too large, took too long, or was one of too many unfinished ones.",
        "Look at that program, or raise max_message_mb.",
    ),
    "filter_errors": Event(
        "21ada1994a6f40ab9b0b3739e6ae6573",
        "A filter had no answer",
        "A listener's filter fails for some entities, which it then does not hear of.",
        "Mend the filter, which QCORE_FILTER holds: docs/filters.md says when a filter has no answer.",
    ),
    "collected": Event(
        "f8fa4ca08fe4436e8e0f0cc109f56ce0",
        "Garbage was collected",
        "While nobody asked for anything.",
    ),
    # -- defects ---------------------------------------------------------------------------------------------
    "apply_failed": Event(
        "5d354d37ff6d47de846a4efc11d9b760",
        "A command failed as none may",
        "This is a defect of qcore; the node ends.",
        "Report the traceback. docs/data-directory.md, 'When an entry cannot be applied', has the way out.",
    ),
    "read_failed": Event(
        "d1e6ca9cd0bf43e5988f59e17484b490",
        "A read failed",
        "This is a defect of qcore; the client was answered with an error.",
        "Report the traceback.",
    ),
    "events_failed": Event(
        "a4afa2c043414049ac6b04ba8f448aab",
        "Listeners could not be told",
        "This is a defect of qcore; the listeners are lost, and begin anew.",
        "Report the traceback.",
    ),
    "documents_failed": Event(
        "7b6d40927a7f4c47801080b24bde7f4a",
        "Work on a document failed",
        "This is a defect of qcore; the client was answered with an error.",
        "Report the traceback.",
    ),
}
"""By the word that stands in `event`."""

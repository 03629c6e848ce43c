"""What only a leader does, and does anew in each leadership: level, epoch, schema file, digest checks.

When the engine says that this node leads, the steps go into the log one after another, each once the one before it is
applied, and then writes of clients flow. Losing the lead ends all of it; the next leader begins from the state it has.

The feature level is raised once every member has said that it knows a higher one: then, or in a later leadership. In a
store with nothing in it the leader's own decides.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

from qcore.model.entry import FEATURE_LEVEL
from qcore.model.errors import ConfigError, Fatal, RequestError, error_from_wire
from qcore.model.leader_commands import OpenEpoch, RaiseLevel
from qcore.model.requests.commands import Bootstrap, Command
from qcore.model.wire import decode_json
from qcore.server.calls import Call
from qcore.server.config.settings import Settings
from qcore.server.runtime import logs
from qcore.server.writes.digest_checks import DigestCheckProposals
from qcore.server.writes.proposals import Proposals
from qcore.store.state.epochs import EPOCHS_LEVEL
from qcore.store.state.state import State

__all__ = ["Leadership"]

log = logs.get("qcore.node")


class Leadership:
    """Sets up each leadership of this node. `ready` hears when writes of clients flow, `on_fatal` why none can.

    `schema_file` is what a store begins with that has not loaded one yet.
    """

    def __init__(
        self,
        settings: Settings,
        state: State,
        proposals: Proposals,
        schema_file: Bootstrap | None,
        ready: Callable[[], None],
        on_fatal: Callable[[Fatal], None],
    ) -> None:
        self._settings = settings
        self._state = state
        self._proposals = proposals
        self._schema_file = schema_file
        self._ready = ready
        self._on_fatal = on_fatal
        self.members_level: Callable[[], int] = lambda: FEATURE_LEVEL
        """Gives the feature level that every member has said it knows, 0 as long as one of them has not."""
        self._setting_up: _Steps | None = None
        self._raising: _Steps | None = None
        self._digest_checks: DigestCheckProposals | None = None

    def begin(self) -> None:
        """This node leads: set up, then let writes flow."""
        self.end(None)
        self._setting_up = _Steps(self._steps(), self._proposals, self, self._set_up)
        self._setting_up.go_on()

    def members_changed(self) -> None:
        """Members have come, gone or said something else: perhaps all of them know a higher feature level now."""
        if self._digest_checks is not None and self._raising is None and self._state.level < self._known_level():
            self._raising = _Steps(self._levels(), self._proposals, self, self._raised)
            self._raising.go_on()

    def end(self, leader: int | None) -> None:
        """This node does not lead (any more); perhaps `leader` does."""
        for steps in (self._setting_up, self._raising):
            if steps is not None:
                steps.abandon()
        self._setting_up = self._raising = None
        if self._digest_checks is not None:
            self._digest_checks.stop()
            self._digest_checks = None
        self._proposals.follow(leader)

    def applied(self) -> None:
        """Everything committed is applied."""
        if self._digest_checks is not None:
            self._digest_checks.applied()

    def _steps(self) -> Iterator[Command]:
        """What has to be in the log before clients may write; each step sees the state behind the one before."""
        level = self._known_level()
        if self._state.level < level:
            yield RaiseLevel(level)
        if self._state.level >= EPOCHS_LEVEL:
            yield OpenEpoch(secrets.token_hex(8))
        if self._schema_file is not None and not self._state.mark:
            yield self._schema_file

    def _levels(self) -> Iterator[Command]:
        """A higher level in the middle of a leadership, and the epoch that it has then, if it had none."""
        before = self._state.level
        yield RaiseLevel(self._known_level())
        if before < EPOCHS_LEVEL <= self._state.level:
            yield OpenEpoch(secrets.token_hex(8))

    def _known_level(self) -> int:
        own = self._settings.feature_level
        return own if self._state.revision == 0 else min(own, self.members_level())

    def step_applied(self, command: Command, result: Any) -> None:
        """A step of the set-up is in the state; another leader may have taken the same one before."""
        if isinstance(command, Bootstrap) and result["applied"]:
            log.info(
                "schemas_loaded",
                message=f"Loaded schemas and tree from {self._settings.config_file}",
                types=len(self._state.types.own),
            )

    def step_refused(self, command: Command, error: RequestError) -> None:
        """A step of the set-up was refused: this node cannot lead."""
        if isinstance(command, Bootstrap):
            name = self._settings.config_file
            self._on_fatal(ConfigError(f"{name} does not fit this store: {error.message}"))
        else:
            self._on_fatal(Fatal(f"this node cannot lead: {command.method} was refused: {error.message}"))

    def _raised(self) -> None:
        self._raising = None
        log.info("level_raised", message=f"All members know feature level {self._state.level}: it is in force")

    def _set_up(self) -> None:
        self._setting_up = None
        self._digest_checks = DigestCheckProposals(self._state, self._proposals.put_own)
        if self._schema_file is not None and self._state.mark != self._schema_file.file_hash:
            log.warning(
                "schema_file_differs",
                message=f"{self._settings.config_file} differs from the schema file that was loaded into this store: "
                "not loaded again",
            )
        self._proposals.lead()
        self._ready()


class _Steps:
    """Steps of one leadership on their way: proposes each, and is the sink of its answer. `done` hears of the end."""

    def __init__(
        self, steps: Iterator[Command], proposals: Proposals, leadership: Leadership, done: Callable[[], None]
    ) -> None:
        self._steps = steps
        self._proposals = proposals
        self._leadership = leadership
        self._done = done
        self._over = False

    def abandon(self) -> None:
        """The leadership is over: whatever is still answered is nothing to it."""
        self._over = True

    def go_on(self) -> None:
        """Propose the next step, or say that there is none."""
        command = next(self._steps, None)
        if command is None:
            self._over = True
            self._done()
        else:
            self._proposals.put_own(command, self)

    def answered(self, call: Call, text: bytes | None) -> None:
        """A step is applied, or lost."""
        if self._over:
            return
        assert text is not None
        answer = decode_json(text)
        if "error" not in answer:
            self._leadership.step_applied(call.params, answer["result"])
            self.go_on()
            return
        error = error_from_wire(answer["error"])
        if error.data.get("applied") == "unknown":  # lost on its way into the log: each step may be taken twice
            self._proposals.put_own(call.params, self)
        else:
            self._over = True
            self._leadership.step_refused(call.params, error)

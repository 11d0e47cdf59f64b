"""Not waiting for a server again and again that is gone.

A study goes on without its model: every decision that gets no answer is made by a stand-in. Without a breaker each of
them would first wait for every timeout and every repetition anew, up to four times a decision.

The rule: after `FAILURES` requests in a row that nobody answered, or as soon as such failures in a row have cost
`PATIENCE_SECONDS`, requests fail at once, for `PAUSE_SECONDS`. The next request after that first knocks, which takes
seconds. Where nobody opens, the pause is twice as long as the last one, up to `LONGEST_PAUSE_SECONDS`; otherwise the
request is made, and one that is answered ends the matter. A refusal is an answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tcs_hpt.errors import ModelError, ModelUnavailable

FAILURES = 3
PATIENCE_SECONDS = 240.0
"""Less than a server may be silent for: a server that fell silent once is not waited for in the same decision again."""
PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 1800.0


class NoAnswer(ModelError):
    """A server was given its time and said nothing, or not all of it."""


class NoServer(NoAnswer, ModelUnavailable):
    """A server cannot be reached, or went away."""


class Breaker:
    """Lets requests to one server through, or fails them at once; see the rule above. For one thread at a time.

    Args:
        place: The server, as the subject of a sentence.
        knock: Whether somebody answers there at all; takes seconds at most.
        clock: A monotonic clock [s].
    """

    def __init__(
        self, place: str, knock: Callable[[], bool], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._place = place
        self._knock = knock
        self._clock = clock
        self._failures = 0
        self._waited = 0.0
        self._pause = 0.0
        """The last one; 0 while the server is trusted."""
        self._until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether a request would fail at once."""
        return bool(self._pause) and self._clock() < self._until

    @contextmanager
    def request(self) -> Iterator[None]:
        """Make one request inside; what counts as a failure is `NoAnswer`.

        Raises:
            NoServer: The request is not made, because the server is given a pause.
        """
        if self._pause:
            if self.is_open:
                raise self._given_up()
            if not self._knock():
                self._failures += 1
                self._rest()
                raise self._given_up()
        started = self._clock()
        try:
            yield
        except NoAnswer:
            self._failures += 1
            self._waited += self._clock() - started
            if self._pause or self._failures >= FAILURES or self._waited >= PATIENCE_SECONDS:
                self._rest()
            raise
        except Exception:
            self._trust()  # somebody is there
            raise
        self._trust()

    def _rest(self) -> None:
        self._pause = min(2 * self._pause or PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        self._until = self._clock() + self._pause

    def _trust(self) -> None:
        self._failures, self._waited, self._pause = 0, 0.0, 0.0

    def _given_up(self) -> NoServer:
        left = max(1, round(self._until - self._clock()))
        times = "once" if self._failures == 1 else f"{self._failures} times in a row"
        return NoServer(
            f"{self._place} has not answered {times}; it is not asked again for {left} seconds",
            hint="Start it again; meanwhile the study goes on without it.",
        )

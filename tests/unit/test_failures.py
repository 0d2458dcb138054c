"""Exception groups are opened in one place: what is in them, and which error decides."""

import asyncio
import gc

import pytest

from linewitness.base.errors import JournalError, UplinkRefused, UplinkUnavailable
from linewitness.base.failures import causes, deciding, retrieve

AWAY = UplinkUnavailable("the broker is away")
REFUSED = UplinkRefused("wrong password")
FULL = JournalError("the disk is full")


def test_causes_are_found_at_any_depth_in_order() -> None:
    group = ExceptionGroup("a", [AWAY, ExceptionGroup("b", [REFUSED, FULL])])
    assert list(causes(group)) == [AWAY, REFUSED, FULL]
    assert list(causes(AWAY)) == [AWAY]


@pytest.mark.parametrize(
    ("errors", "decides"),
    [([AWAY], AWAY), ([AWAY, REFUSED], REFUSED), ([REFUSED, FULL], REFUSED), ([AWAY, AWAY], AWAY)],
)
def test_what_a_retry_does_not_help_decides_over_what_it_does(
    errors: list[Exception],
    decides: UplinkRefused | UplinkUnavailable,
) -> None:
    group = ExceptionGroup("a", [ExceptionGroup("b", errors)])
    assert deciding(group, retried=UplinkUnavailable) is decides


def test_a_failure_that_ends_the_process_decides_over_all_that_are_retried() -> None:
    group = ExceptionGroup("a", [REFUSED, FULL, AWAY])
    assert deciding(group, retried=(UplinkUnavailable, UplinkRefused)) is FULL


def test_a_bug_among_them_is_not_hidden() -> None:
    group = ExceptionGroup("a", [AWAY, ExceptionGroup("b", [KeyError("x")])])
    assert deciding(group, retried=UplinkUnavailable) is group


@pytest.mark.heavy
async def test_a_failure_that_was_retrieved_is_not_reported_again() -> None:
    reported = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: reported.append(context["message"]))
    for handle in (retrieve, lambda _: None):
        future = loop.create_future()
        future.add_done_callback(handle)
        future.set_exception(FULL)
        await asyncio.sleep(0)
        del future
        gc.collect()
    assert reported == ["Future exception was never retrieved"]

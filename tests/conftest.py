"""What all tests share: no task is left behind, and clocks that a test drives."""

import asyncio

import pytest
import pytest_asyncio

from clocks import ManualClock


@pytest_asyncio.fixture(autouse=True)
async def _no_task_left_behind(request):
    """Fail an asynchronous test that leaves a task running."""
    if not asyncio.iscoroutinefunction(getattr(request.node, "obj", None)):
        yield
        return
    before = asyncio.all_tasks()
    yield
    left = [task for task in asyncio.all_tasks() - before - {asyncio.current_task()} if not task.done()]
    assert not left, f"tasks left behind: {[task.get_name() for task in left]}"


@pytest.fixture
def clock():
    """A clock that moves only when the test moves it."""
    return ManualClock()

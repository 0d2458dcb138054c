"""The double of the disk: what is certain, what may be there, and what never can."""

from typing import Any

import pytest

from linewitness_selftest.power.disk import Disk, Rule
from linewitness_selftest.power.image import Cut, Grown, Survives, image_after
from linewitness_selftest.power.steps import SITE, Enter, Leave, Mapped, Moved, Resize, Sync, Write

pytestmark = pytest.mark.heavy

FILE, OTHER, FOLDER = 1, 2, 3


def created(name: str = "a", inode: int = FILE, folder: int = SITE) -> Enter:
    return Enter(folder=folder, name=name, inode=inode)


def written(data: bytes, offset: int = 0, inode: int = FILE) -> Write:
    return Write(inode=inode, offset=offset, data=data)


def synced(inode: int = FILE) -> Sync:
    return Sync(inode=inode)


def moved(name: str, to: str, *, folder: int = SITE, to_folder: int = SITE, inode: int = FILE) -> Moved:
    return Moved(folder=folder, name=name, to_folder=to_folder, to=to, inode=inode)


def after(*steps: Any, rule: Rule = Rule.STRICT) -> Disk:
    disk = Disk(rule)
    for number, step in enumerate(steps):
        disk.take(number, step)
    return disk


def left(
    disk: Disk, survives: Survives = Survives.NONE, grown: Grown = Grown.SHORT, seed: int = 0
) -> dict[str, bytes]:
    """Return the files that a cut leaves."""
    cut = Cut(after=0, rule=disk.rule, survives=survives, grown=grown, seed=seed)
    image, _ = image_after(disk, cut)
    return {path: bytes(content) for path, content in image.files.items()}


def ever_left(disk: Disk, survives: Survives, grown: Grown = Grown.SHORT) -> list[dict[str, bytes]]:
    """Return all that a cut may leave, by many seeds."""
    return [left(disk, survives, grown, seed) for seed in range(200)]


def test_what_is_synchronised_with_its_folder_is_there() -> None:
    disk = after(created(), written(b"one"), synced(), synced(SITE))
    for survives in Survives:
        assert left(disk, survives) == {"a": b"one"}


def test_strict_file_without_its_folder_synchronised_has_no_name() -> None:
    disk = after(created(), written(b"one"), synced())
    assert left(disk) == {}
    assert left(disk, Survives.ALL) == {"a": b"one"}


def test_ordered_file_system_makes_the_name_durable_with_the_file() -> None:
    disk = after(
        created("b", OTHER), created(), written(b"one"), synced(), created("c", FOLDER), rule=Rule.ORDERED
    )
    assert left(disk) == {"a": b"one", "b": b""}


def test_ordered_file_system_forgets_a_later_name_after_a_write_in_place() -> None:
    steps = [created(), written(b"one"), synced(), created("b", OTHER), written(b"two"), synced()]
    assert left(after(*steps, rule=Rule.ORDERED)) == {"a": b"two"}


def test_folder_synchronised_does_not_make_contents_durable() -> None:
    disk = after(created(), written(b"one"), synced(SITE))
    assert left(disk) == {"a": b""}


def test_folder_is_lost_with_all_in_it_where_its_own_name_is_not_durable() -> None:
    folder = Enter(folder=SITE, name="f", inode=FOLDER, is_folder=True)
    steps = [folder, created(folder=FOLDER), written(b"one"), synced(), synced(FOLDER)]
    assert left(after(*steps)) == {}
    assert left(after(*steps, synced(SITE))) == {"f/a": b"one"}


def test_rename_is_whole_or_not_at_all() -> None:
    steps = [created("new"), written(b"key"), synced(), moved("new", "key")]
    assert left(after(*steps, synced(SITE))) == {"key": b"key"}
    disk = after(*steps[:3], synced(SITE), steps[3])
    found = ever_left(disk, Survives.SOME)
    assert {"new": b"key"} in found
    assert {"key": b"key"} in found
    assert all(len(files) == 1 for files in found)


def test_strict_renames_may_be_reordered_and_ordered_ones_may_not() -> None:
    steps = [created(), created("b", OTHER), synced(SITE), moved("a", "c"), moved("b", "d", inode=OTHER)]
    only_second = {"a": b"", "d": b""}
    assert only_second in ever_left(after(*steps), Survives.SOME)
    assert only_second not in ever_left(after(*steps, rule=Rule.ORDERED), Survives.SOME)


def test_rename_between_folders_needs_one_of_them_and_the_file_before_it() -> None:
    folder = Enter(folder=SITE, name="f", inode=FOLDER, is_folder=True)
    steps = [folder, synced(SITE), created(), written(b"one"), synced(), moved("a", "b", to_folder=FOLDER)]
    assert left(after(*steps, synced(FOLDER))) == {"f/b": b"one"}
    assert left(after(*steps)) == {}


def test_removed_name_may_come_back_until_its_folder_is_synchronised() -> None:
    steps = [created(), synced(SITE), Leave(folder=SITE, name="a", inode=FILE)]
    assert left(after(*steps)) == {"a": b""}
    assert left(after(*steps, synced(SITE)), Survives.SOME) == {}


def test_second_name_of_a_file_has_its_content() -> None:
    disk = after(created(), Enter(folder=SITE, name="b", inode=FILE), written(b"x"), synced(), synced(SITE))
    assert left(disk) == {"a": b"x", "b": b"x"}


def test_writes_survive_in_any_order() -> None:
    disk = after(created(), written(b"aa"), synced(), synced(SITE), written(b"b"), written(b"c", 1))
    found = {files["a"] for files in ever_left(disk, Survives.SOME)}
    assert found == {b"aa", b"ba", b"ac", b"bc"}
    assert b"ba" not in {files["a"] for files in ever_left(disk, Survives.LAST)}
    assert b"ac" not in {files["a"] for files in ever_left(disk, Survives.FIRST)}


def test_write_is_torn_between_sectors_only() -> None:
    old, new = b"o" * 4096, b"n" * 2000
    disk = after(created(), written(old), synced(), synced(SITE), written(new, 100))
    found = {files["a"] for files in ever_left(disk, Survives.SECTORS)}
    assert len(found) > 8
    for content in found:
        for start in range(0, 4096, 512):
            kept = {content[start : start + 512], old[start : start + 512]}
            whole = (old[:100] + new + old[2100:])[start : start + 512]
            assert kept <= {old[start : start + 512], whole}


@pytest.mark.parametrize("grown", Grown)
def test_file_may_have_grown_for_a_write_that_is_lost(grown: Grown) -> None:
    disk = after(created(), written(b"a"), synced(), synced(SITE), written(b"b" * 9, 1))
    content = left(disk, grown=grown)["a"]
    expected = {Grown.SHORT: (1, b""), Grown.ZEROS: (10, bytes(9))}
    if grown in expected:
        assert (len(content), content[1:]) == expected[grown]
    else:
        assert len(content) == 10
        assert content[1:] not in (bytes(9), b"b" * 9)
    assert content[:1] == b"a"


def test_cut_off_end_may_be_there_until_it_is_synchronised() -> None:
    steps = [created(), written(b"abc"), synced(), synced(SITE), Resize(inode=FILE, size=1)]
    assert left(after(*steps)) == {"a": b"abc"}
    assert left(after(*steps), Survives.ALL) == {"a": b"a"}
    assert left(after(*steps, synced())) == {"a": b"a"}


def test_everything_is_durable_after_a_sync_of_all() -> None:
    disk = after(created(), written(b"one"), Sync(inode=None))
    assert left(disk) == {"a": b"one"}


def test_file_that_is_mapped_holds_whatever() -> None:
    disk = after(created(), synced(SITE), Mapped(inode=FILE), written(b"one"))
    assert left(disk)["a"] not in (b"", b"one")


def test_same_cut_leaves_the_same() -> None:
    disk = after(created(), written(b"a" * 9000), synced(SITE), written(b"b" * 9000, 5000))
    for survives in Survives:
        assert left(disk, survives, Grown.RUBBISH, 7) == left(disk, survives, Grown.RUBBISH, 7)


def test_what_survived_is_named() -> None:
    disk = after(
        Enter(folder=SITE, name="a", inode=FILE, call="openat", place="a"),
        Write(inode=FILE, offset=3, data=b"xy", call="pwrite64", place="a"),
    )
    _, none = image_after(disk, Cut(after=1, rule=Rule.STRICT, survives=Survives.NONE))
    _, everything = image_after(disk, Cut(after=1, rule=Rule.STRICT, survives=Survives.ALL))
    assert none == "lost: 0 openat a, 1 pwrite64 a 3+2"
    assert everything == "there: 0 openat a, 1 pwrite64 a 3+2"

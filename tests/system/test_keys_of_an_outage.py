"""While the store cannot be reached, keys are replaced soon, and checkpoints go to whoever can be reached."""

from pathlib import Path

from support.plants import Load, at_work, held, log_lines, new_plant, settle
from support.waiting import until

#: The shortest time for which an event key may sign without a receipt.
ALONE_S = 5


async def test_keys_are_replaced_and_checkpoints_written_while_no_receipt_comes(tmp_path: Path) -> None:
    worm = tmp_path / "worm"
    worm.mkdir()
    settings = {
        "directory: journal\n": f"directory: journal\n  rotate_alone_s: {ALONE_S}\n",
        "clock:\n": f"anchors: {{directories: [{{id: worm, path: {worm}}}]}}\nclock:\n",
    }
    async with new_plant(tmp_path, settings) as plant:
        await plant.store.start()
        await plant.gateway.start()
        await at_work(plant)
        await plant.receipted(1)
        load = Load(plant)

        def rotations() -> int:
            with plant.journal() as journal:
                return len(journal.event_keys())

        def anchors() -> int:
            return sum(path.is_file() for path in worm.rglob("*"))

        await until(lambda: anchors() > 0, "the first anchor")
        with plant.journal() as journal:
            await plant.receipted(journal.size())
        before, written = rotations(), anchors()
        await plant.broker.stop()
        async with load.going_on():
            await until(lambda: rotations() >= before + 2, "two more keys")
        await until(lambda: anchors() >= written + 2, "an anchor for each of them")
        with plant.journal() as journal:
            active = journal.event_keys()[-1][1].key_id
        left = sorted(path.stem for path in (plant.folder / "journal" / "keys").iterdir())
        assert left == sorted([active, "log"]), "the private halves of the others are gone"
        assert len(log_lines(plant, "no receipt comes: the event key is replaced more often")) == 1
        await plant.broker.start()
        await settle(plant, load.made)
        assert held(plant).verdict.status == "COMPLETE"

-- What must never happen to a journal.

CREATE TRIGGER frozen_is_final BEFORE UPDATE ON stream
WHEN OLD.state = 'frozen' AND NEW.state <> 'frozen'
BEGIN SELECT RAISE(ABORT, 'a frozen stream does not go on: it has a next generation'); END;

CREATE TRIGGER record_follows BEFORE INSERT ON record
WHEN NEW.seq IS NOT COALESCE((SELECT seq + count FROM record ORDER BY seq DESC LIMIT 1), 0)
BEGIN SELECT RAISE(ABORT, 'a record must follow the last one'); END;

CREATE TRIGGER run_fits BEFORE INSERT ON record
WHEN NEW.count < 1 OR NEW.seq / 256 <> (NEW.seq + NEW.count - 1) / 256 OR (NEW.unit IS NOT NULL AND NEW.count <> 1)
BEGIN SELECT RAISE(ABORT, 'a run lies in one tile, and what is found by its unit is a run of one'); END;

CREATE TRIGGER record_is_final BEFORE UPDATE ON record
BEGIN SELECT RAISE(ABORT, 'a record never changes'); END;

CREATE TRIGGER record_is_kept BEFORE DELETE ON record
WHEN OLD.seq + OLD.count > COALESCE((SELECT MAX(size) FROM receipt), 0)
BEGIN SELECT RAISE(ABORT, 'a record without a receipt is not deleted'); END;

-- Record 0 and the rotations, by which every other record is verified, and the newest records.
CREATE TRIGGER record_of_keys_is_kept BEFORE DELETE ON record
WHEN OLD.seq = 0
OR EXISTS (SELECT 1 FROM event_key WHERE first_seq > OLD.seq AND first_seq <= OLD.seq + OLD.count)
BEGIN SELECT RAISE(ABORT, 'record 0 and the rotations are not deleted'); END;

CREATE TRIGGER record_of_open_tile_is_kept BEFORE DELETE ON record
WHEN NOT EXISTS (SELECT 1 FROM tile WHERE idx = (OLD.seq + OLD.count - 1) / 256)
BEGIN SELECT RAISE(ABORT, 'a record whose leaf is not in a tile is not deleted'); END;

CREATE TRIGGER attestation_is_final BEFORE UPDATE ON attestation
BEGIN SELECT RAISE(ABORT, 'an attestation never changes'); END;

CREATE TRIGGER frozen_is_kept BEFORE DELETE ON record
WHEN (SELECT state FROM stream) = 'frozen'
BEGIN SELECT RAISE(ABORT, 'nothing of a frozen stream is deleted'); END;

CREATE TRIGGER receipt_is_final BEFORE UPDATE ON receipt
BEGIN SELECT RAISE(ABORT, 'a receipt never changes'); END;

CREATE TRIGGER tile_is_final BEFORE UPDATE ON tile
BEGIN SELECT RAISE(ABORT, 'a tile never changes'); END;

CREATE TRIGGER event_key_is_final BEFORE UPDATE ON event_key
BEGIN SELECT RAISE(ABORT, 'the history of keys never changes'); END;

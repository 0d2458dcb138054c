-- The journal's tables. What must never happen is refused here, not only in the program.

CREATE TABLE stream (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    origin TEXT NOT NULL,
    tenant TEXT NOT NULL,
    plant TEXT NOT NULL,
    line TEXT NOT NULL,
    log_vkey TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'frozen'))
) STRICT;

-- `bytes` is the record in a zstd frame that names its dictionary, or, of earlier versions, the record itself.
-- `unit` is the serial number of resource.parent, so that one unit's history is found without a scan.
CREATE TABLE record (
    seq INTEGER PRIMARY KEY,
    unit TEXT,
    bytes BLOB NOT NULL
) STRICT;
CREATE INDEX record_by_unit ON record (unit, seq) WHERE unit IS NOT NULL;

-- What the last commit left behind: compared with the records themselves when the journal is opened.
CREATE TABLE head (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    size INTEGER NOT NULL,
    record_hash TEXT NOT NULL,
    root BLOB NOT NULL
) STRICT;

-- 256 leaf hashes each, written when full; they stay when records are pruned.
CREATE TABLE tile (idx INTEGER PRIMARY KEY, leaves BLOB NOT NULL) STRICT;
-- Roots of complete subtrees of 2^level leaves, for the levels 8, 16, 24 and 32.
CREATE TABLE node (level INTEGER, idx INTEGER, hash BLOB NOT NULL, PRIMARY KEY (level, idx)) STRICT, WITHOUT ROWID;

-- Which key signed from which record on; it stays when records are pruned.
CREATE TABLE event_key (first_seq INTEGER PRIMARY KEY, vkey TEXT NOT NULL) STRICT;

CREATE TABLE receipt (size INTEGER PRIMARY KEY, note TEXT NOT NULL, received_at TEXT NOT NULL) STRICT;
CREATE TABLE checkpoint (id INTEGER PRIMARY KEY CHECK (id = 0), size INTEGER NOT NULL, note TEXT NOT NULL) STRICT;

-- The devices' own bytes, each once, under their SHA-256, and the last record that is about them.
CREATE TABLE raw (
    sha256 TEXT PRIMARY KEY,
    bytes BLOB NOT NULL,
    last_seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX raw_by_record ON raw (last_seq);

-- What others said about the stream's checkpoints: where one was written to, or who cosigned it.
CREATE TABLE attestation (
    id INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    source TEXT NOT NULL,
    note TEXT NOT NULL,
    proof BLOB,
    at TEXT NOT NULL
) STRICT;

-- What decides the next event: stations, watermarks of tools, memory of drivers.
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TRIGGER frozen_is_final BEFORE UPDATE ON stream
WHEN OLD.state = 'frozen' AND NEW.state <> 'frozen'
BEGIN SELECT RAISE(ABORT, 'a frozen stream does not go on: it has a next generation'); END;

CREATE TRIGGER record_follows BEFORE INSERT ON record
WHEN NEW.seq IS NOT COALESCE((SELECT MAX(seq) + 1 FROM record), 0)
BEGIN SELECT RAISE(ABORT, 'a record must follow the last one'); END;

CREATE TRIGGER record_is_final BEFORE UPDATE ON record
BEGIN SELECT RAISE(ABORT, 'a record never changes'); END;

CREATE TRIGGER record_is_kept BEFORE DELETE ON record
WHEN OLD.seq >= COALESCE((SELECT MAX(size) FROM receipt), 0)
BEGIN SELECT RAISE(ABORT, 'a record without a receipt is not deleted'); END;

-- Record 0 and the rotations, by which every other record is verified, and the newest records.
CREATE TRIGGER record_of_keys_is_kept BEFORE DELETE ON record
WHEN OLD.seq = 0 OR EXISTS (SELECT 1 FROM event_key WHERE first_seq = OLD.seq + 1)
BEGIN SELECT RAISE(ABORT, 'record 0 and the rotations are not deleted'); END;

CREATE TRIGGER record_of_open_tile_is_kept BEFORE DELETE ON record
WHEN NOT EXISTS (SELECT 1 FROM tile WHERE idx = OLD.seq / 256)
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

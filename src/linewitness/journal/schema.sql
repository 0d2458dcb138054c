-- The journal's tables. What must never happen to them is refused in triggers.sql.

CREATE TABLE stream (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    origin TEXT NOT NULL,
    tenant TEXT NOT NULL,
    plant TEXT NOT NULL,
    line TEXT NOT NULL,
    log_vkey TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'frozen'))
) STRICT;

-- A row is a run of `count` records of one commit and one tile, from `seq` on; what is found or kept by itself,
-- by its unit or as a record of keys, is a run of one. `bytes` is a zstd frame that names its dictionary, with the
-- records a line each; earlier versions stored one record a row, the oldest of them as it was.
-- `unit` is the serial number of resource.parent, so that one unit's history is found without a scan.
CREATE TABLE record (
    seq INTEGER PRIMARY KEY,
    unit TEXT,
    bytes BLOB NOT NULL,
    count INTEGER NOT NULL DEFAULT 1
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

-- +goose Up
-- The record of every write: intent before the first request, outcome after.
SET ROLE pghub_sync;

CREATE SEQUENCE pghub.write_statement;
CREATE TABLE pghub.write (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    statement     bigint NOT NULL,
    ordinal       int NOT NULL,
    table_name    text NOT NULL,
    op            text NOT NULL CHECK (op IN ('insert', 'update', 'delete')),
    repository_id bigint,
    row_id        bigint,
    number        bigint,
    change        jsonb NOT NULL,
    role          text NOT NULL,
    application   text NOT NULL,
    kind          text NOT NULL,
    proxy         int NOT NULL,
    pid           int NOT NULL,
    xid           xid8 NOT NULL,
    status        text NOT NULL DEFAULT 'intent'
                  CHECK (status IN ('intent', 'answered', 'unknown', 'refused', 'skipped', 'committed', 'repaired')),
    answer_updated_at timestamptz,
    requests      int NOT NULL DEFAULT 0,
    request_id    text,
    sqlstate      text,
    message       text,
    detail        text,
    attempts      int NOT NULL DEFAULT 0,
    retry_at      timestamptz,
    intent_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    answered_at   timestamptz,
    closed_at     timestamptz,
    UNIQUE (statement, ordinal)
);
CREATE INDEX write_open ON pghub.write (id) WHERE closed_at IS NULL;
CREATE INDEX write_open_create ON pghub.write (table_name, repository_id) WHERE closed_at IS NULL AND op = 'insert';
CREATE INDEX write_row ON pghub.write (table_name, row_id);

COMMENT ON TABLE pghub.write IS 'Every row change sent to GitHub, committed before its first request leaves. States: intent, then answered, unknown, refused or skipped; answered and unknown end as committed or repaired.';
COMMENT ON COLUMN pghub.write.id IS 'Number of this entry.';
COMMENT ON COLUMN pghub.write.statement IS 'The statement it belongs to: entries of one statement share it.';
COMMENT ON COLUMN pghub.write.ordinal IS 'Place among the rows of the statement, from 0.';
COMMENT ON COLUMN pghub.write.table_name IS 'Table in schema github.';
COMMENT ON COLUMN pghub.write.op IS 'insert, update or delete.';
COMMENT ON COLUMN pghub.write.repository_id IS 'Repository of the row.';
COMMENT ON COLUMN pghub.write.row_id IS 'REST id of the row; for an insert null until GitHub answered.';
COMMENT ON COLUMN pghub.write.number IS 'Number of the row in its repository, likewise.';
COMMENT ON COLUMN pghub.write.change IS 'The columns to be changed and their new values.';
COMMENT ON COLUMN pghub.write.role IS 'Postgres role that logged in.';
COMMENT ON COLUMN pghub.write.application IS 'Its application_name.';
COMMENT ON COLUMN pghub.write.kind IS 'Kind of the statement: insert, update, delete, merge, select (a writable CTE), ...';
COMMENT ON COLUMN pghub.write.proxy IS 'The proxy process; it holds an advisory lock of this number while it lives.';
COMMENT ON COLUMN pghub.write.pid IS 'Server process of the client''s session.';
COMMENT ON COLUMN pghub.write.xid IS 'The client''s transaction: its fate tells whether the answer was kept.';
COMMENT ON COLUMN pghub.write.status IS 'intent: may have been sent. answered: GitHub accepted it, the local commit is not known yet. unknown: GitHub''s answer was lost. refused: GitHub said no. skipped: never sent. committed: stored by the client''s transaction. repaired: brought into the mirror afterwards.';
COMMENT ON COLUMN pghub.write.answer_updated_at IS 'updated_at of the row that GitHub answered.';
COMMENT ON COLUMN pghub.write.requests IS 'Requests sent for it.';
COMMENT ON COLUMN pghub.write.request_id IS 'X-GitHub-Request-Id of the last answer, for GitHub''s support.';
COMMENT ON COLUMN pghub.write.sqlstate IS 'SQLSTATE that the client got, if it failed.';
COMMENT ON COLUMN pghub.write.message IS 'Message that the client got, or why a repair failed so far.';
COMMENT ON COLUMN pghub.write.detail IS 'GitHub''s words, if it failed.';
COMMENT ON COLUMN pghub.write.attempts IS 'Repairs tried.';
COMMENT ON COLUMN pghub.write.retry_at IS 'Not before then is the next repair tried.';
COMMENT ON COLUMN pghub.write.intent_at IS 'When it was written down, before the first request.';
COMMENT ON COLUMN pghub.write.answered_at IS 'When GitHub''s answer was written down.';
COMMENT ON COLUMN pghub.write.closed_at IS 'When nothing remained to be done.';

-- What the syncer must not store yet, because a client's transaction is about
-- to: row_id is null while GitHub has not answered.
CREATE VIEW pghub.open_create AS
    SELECT table_name, repository_id, row_id FROM pghub.write WHERE op = 'insert' AND closed_at IS NULL;
COMMENT ON VIEW pghub.open_create IS 'Creates under way: rows that the syncer puts off.';
COMMENT ON COLUMN pghub.open_create.table_name IS 'Table in schema github.';
COMMENT ON COLUMN pghub.open_create.repository_id IS 'Repository of the row.';
COMMENT ON COLUMN pghub.open_create.row_id IS 'REST id; null while GitHub has not answered.';
RESET ROLE;

-- +goose Down
SELECT 'migrations go forward only';

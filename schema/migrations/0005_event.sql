-- +goose Up
-- The change stream: one row of github.event for every change of a mirrored row, in the same transaction, whoever made
-- it. docs/change-stream.md is written for those who read it.
SET ROLE pghub_sync;

CREATE SEQUENCE github.event_id;
CREATE TABLE github.event (
    id            bigint NOT NULL DEFAULT nextval('github.event_id'),
    xid           xid8 NOT NULL DEFAULT pg_current_xact_id(),
    occurred_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    table_name    text NOT NULL,
    row_id        bigint NOT NULL,
    repository_id bigint,
    action        text NOT NULL,
    origin        text NOT NULL,
    changed       text[],
    old           jsonb,
    data         jsonb NOT NULL,
    PRIMARY KEY (id, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE TABLE pghub.event_default PARTITION OF github.event DEFAULT;

COMMENT ON TABLE github.event IS 'Every change of a mirrored row, written in the transaction that made it; kept for pghub.event_retention.keep. Read it by github.event_after: docs/change-stream.md.';
COMMENT ON COLUMN github.event.id IS 'Number of the event. The changes of one row follow each other in it, but a lower number may be committed later than a higher one: remember it with github.event_after, which waits for the lower ones.';
COMMENT ON COLUMN github.event.xid IS 'Transaction that made the change; all events of a transaction become visible together.';
COMMENT ON COLUMN github.event.occurred_at IS 'When the row was changed, by this server''s clock. The partitions are by this.';
COMMENT ON COLUMN github.event.table_name IS 'Table in schema github.';
COMMENT ON COLUMN github.event.row_id IS 'REST id of the row.';
COMMENT ON COLUMN github.event.repository_id IS 'Repository of the row, or the row itself if it is one; null for accounts.';
COMMENT ON COLUMN github.event.action IS 'created, updated or deleted: what became of the row in the mirror.';
COMMENT ON COLUMN github.event.origin IS 'How the change came: backfill (the first reading of a list), poll, webhook, refetch (one object read again), write (a client, through the proxy), repair (after a client''s transaction that did not keep its write), sync (anything else).';
COMMENT ON COLUMN github.event.changed IS 'updated: names of the columns that changed, without synced_at; null otherwise.';
COMMENT ON COLUMN github.event.old IS 'updated: the old values of the changed columns, so that data || old is the row before; null otherwise.';
COMMENT ON COLUMN github.event.data IS 'The whole row after the change; of a deleted one, the last that was known. Times are in UTC.';

-- Default privileges of the schema gave writers more than this.
REVOKE INSERT, UPDATE, DELETE ON github.event FROM pghub_writer;

CREATE TABLE pghub.event_retention (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    keep        interval NOT NULL DEFAULT '30 days' CHECK (keep > '0'),
    ahead       interval NOT NULL DEFAULT '28 days' CHECK (ahead >= '0'),
    dropped_id  bigint
);
COMMENT ON TABLE pghub.event_retention IS 'How long github.event is kept; change keep by UPDATE as pghub_sync or a superuser.';
COMMENT ON COLUMN pghub.event_retention.only_row IS 'Keeps the table at one row.';
COMMENT ON COLUMN pghub.event_retention.keep IS 'Events older than this may be dropped; they go by whole weeks.';
COMMENT ON COLUMN pghub.event_retention.ahead IS 'How far ahead partitions are made.';
COMMENT ON COLUMN pghub.event_retention.dropped_id IS 'Highest event that was dropped; tells a consumer that it came too late.';
INSERT INTO pghub.event_retention DEFAULT VALUES;
GRANT SELECT ON pghub.event_retention TO pghub_reader, pghub_writer;

-- A write-through INSERT takes away the row that the syncer stored first, and stores it again with GitHub's answer. In
-- between, what it took away stands here, so that both together become one update or no event.
CREATE TABLE pghub.event_replaced (
    xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    table_name text NOT NULL,
    row_id     bigint NOT NULL,
    data      jsonb NOT NULL
);
COMMENT ON TABLE pghub.event_replaced IS 'Rows that the running statement of a client replaces; empty when it ends.';
COMMENT ON COLUMN pghub.event_replaced.xid IS 'The client''s transaction.';
COMMENT ON COLUMN pghub.event_replaced.table_name IS 'Table in schema github.';
COMMENT ON COLUMN pghub.event_replaced.row_id IS 'REST id of the row.';
COMMENT ON COLUMN pghub.event_replaced.data IS 'The row as it was.';

-- Only a statement that pghub.write_through lets through runs with a mode; nobody else's change of a row can have one.
-- +goose StatementBegin
CREATE FUNCTION pghub.event_origin() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT CASE WHEN coalesce(current_setting('pghub.mode', true), '') <> '' THEN 'write'
                ELSE coalesce(nullif(current_setting('pghub.origin', true), ''), 'sync') END
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pghub.event_origin IS 'What the events of the running statement have as origin: write for a client''s, else the setting pghub.origin of the transaction, else sync.';

-- +goose StatementBegin
CREATE FUNCTION pghub.event_difference(o jsonb, n jsonb) RETURNS TABLE (changed text[], old jsonb)
LANGUAGE sql IMMUTABLE AS $$
    SELECT array_agg(k.key ORDER BY k.key), jsonb_object_agg(k.key, k.value)
    FROM jsonb_each(o) k WHERE k.key <> 'synced_at' AND k.value IS DISTINCT FROM n->k.key
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pghub.event_difference IS 'The columns in which a row differs from what it was, and what they held; nulls if none but synced_at does.';

-- An id is taken now and seen at the commit, so a lower one may appear after a higher one. While a transaction has events
-- that nobody sees yet it therefore holds a shared advisory lock, of class "pghe", that names the hundred in which its
-- first id may be; the next statements mostly take the same again, which costs nothing. No id is taken before the lock.
-- Unlike a setting or the transaction's number it can be neither forged nor overtaken.
-- +goose StatementBegin
CREATE FUNCTION pghub.event_hold() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1885825125, (s.last_value / 100)::int) FROM github.event_id s;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION pghub.event_hold IS 'Keeps github.event_cursor() below the ids that this transaction takes from now on, until it ends.';

-- The triggers below are of whole statements, with transition tables: a page of rows costs one INSERT. They run with
-- the owner's rights, because clients may not write events. The names of times must not depend on the client's zone.
-- The plans are simple and are kept, although schema.Upsert wants its own made anew.
-- +goose StatementBegin
CREATE FUNCTION pghub.event_created() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    origin   text := pghub.event_origin();
    applying boolean := coalesce(current_setting('pghub.mode', true), '') <> '';
    added    bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM new_rows) THEN
        RETURN NULL;
    END IF;
    PERFORM pghub.event_hold();
    IF NOT applying THEN
        INSERT INTO github.event (table_name, row_id, repository_id, action, origin, data)
        SELECT TG_TABLE_NAME, n.id, CASE WHEN TG_TABLE_NAME = 'repository' THEN n.id ELSE (n.r->>'repository_id')::bigint END,
               'created', origin, n.r
        FROM (SELECT n.id, to_jsonb(n) AS r FROM new_rows n OFFSET 0) n;
        GET DIAGNOSTICS added = ROW_COUNT;
    ELSE
        WITH replaced AS (
            DELETE FROM pghub.event_replaced e WHERE e.xid = pg_current_xact_id() AND e.table_name = TG_TABLE_NAME
            RETURNING e.row_id, e.data
        ), fresh AS MATERIALIZED (
            SELECT n.id, to_jsonb(n) AS r, o.data AS o FROM new_rows n LEFT JOIN replaced o ON o.row_id = n.id
        ), judged AS (
            SELECT f.id, f.r, f.o IS NULL AS is_new, d.changed, d.old FROM fresh f CROSS JOIN LATERAL pghub.event_difference(f.o, f.r) d
        )
        INSERT INTO github.event (table_name, row_id, repository_id, action, origin, changed, old, data)
        SELECT TG_TABLE_NAME, j.id, CASE WHEN TG_TABLE_NAME = 'repository' THEN j.id ELSE (j.r->>'repository_id')::bigint END,
               CASE WHEN j.is_new THEN 'created' ELSE 'updated' END, origin, j.changed, j.old, j.r
        FROM judged j WHERE j.is_new OR j.changed IS NOT NULL;
        GET DIAGNOSTICS added = ROW_COUNT;
    END IF;
    IF added > 0 THEN
        PERFORM pg_notify('github_event', TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION pghub.event_created IS 'Statement trigger of the mirrored tables: writes the events of inserted rows.';

-- Old and new rows meet by a hash join: a plan kept from a statement of one row would loop over the pages of the next.
-- What is left of loops then looks so dear to the planner that it would compile the plan (JIT) each time.
-- +goose StatementBegin
CREATE FUNCTION pghub.event_updated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' SET plan_cache_mode = force_generic_plan SET enable_nestloop = off SET jit = off AS $$
DECLARE
    origin text := pghub.event_origin();
BEGIN
    IF NOT EXISTS (SELECT FROM new_rows) THEN
        RETURN NULL;
    END IF;
    PERFORM pghub.event_hold();
    WITH pair AS MATERIALIZED (
        SELECT n.id, to_jsonb(o) AS o, to_jsonb(n) AS r FROM new_rows n JOIN old_rows o ON o.id = n.id
    ), judged AS MATERIALIZED (
        SELECT p.id, p.r, d.changed, d.old FROM pair p CROSS JOIN LATERAL pghub.event_difference(p.o, p.r) d
    )
    INSERT INTO github.event (table_name, row_id, repository_id, action, origin, changed, old, data)
    SELECT TG_TABLE_NAME, j.id, CASE WHEN TG_TABLE_NAME = 'repository' THEN j.id ELSE (j.r->>'repository_id')::bigint END,
           'updated', origin, j.changed, j.old, j.r
    FROM judged j WHERE j.changed IS NOT NULL;
    IF FOUND THEN
        PERFORM pg_notify('github_event', TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION pghub.event_updated IS 'Statement trigger of the mirrored tables: writes the events of updated rows in which more than synced_at changed.';

-- +goose StatementBegin
CREATE FUNCTION pghub.event_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    origin   text := pghub.event_origin();
    applying boolean := coalesce(current_setting('pghub.mode', true), '') <> '';
BEGIN
    IF NOT EXISTS (SELECT FROM old_rows) THEN
        RETURN NULL;
    END IF;
    PERFORM pghub.event_hold();
    IF applying THEN
        -- What GitHub deleted has a tombstone by now. What has none is being replaced.
        INSERT INTO pghub.event_replaced (table_name, row_id, data)
        SELECT TG_TABLE_NAME, o.id, to_jsonb(o) FROM old_rows o
        WHERE NOT EXISTS (SELECT FROM pghub.tombstone t WHERE t.table_name = TG_TABLE_NAME AND t.id = o.id);
    END IF;
    INSERT INTO github.event (table_name, row_id, repository_id, action, origin, data)
    SELECT TG_TABLE_NAME, o.id, CASE WHEN TG_TABLE_NAME = 'repository' THEN o.id ELSE (o.r->>'repository_id')::bigint END,
           'deleted', origin, o.r
    FROM (SELECT o.id, to_jsonb(o) AS r FROM old_rows o
          WHERE NOT applying OR EXISTS (SELECT FROM pghub.tombstone t WHERE t.table_name = TG_TABLE_NAME AND t.id = o.id) OFFSET 0) o;
    IF FOUND THEN
        PERFORM pg_notify('github_event', TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION pghub.event_deleted IS 'Statement trigger of the mirrored tables: writes the events of deleted rows.';

-- +goose StatementBegin
CREATE PROCEDURE pghub.record_events(table_name text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER pghub_event_created AFTER INSERT ON github.%I REFERENCING NEW TABLE AS new_rows '
        || 'FOR EACH STATEMENT EXECUTE FUNCTION pghub.event_created()', table_name);
    EXECUTE format('CREATE TRIGGER pghub_event_updated AFTER UPDATE ON github.%I REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
        || 'FOR EACH STATEMENT EXECUTE FUNCTION pghub.event_updated()', table_name);
    EXECUTE format('CREATE TRIGGER pghub_event_deleted AFTER DELETE ON github.%I REFERENCING OLD TABLE AS old_rows '
        || 'FOR EACH STATEMENT EXECUTE FUNCTION pghub.event_deleted()', table_name);
    EXECUTE format('ALTER TABLE github.%1$I ENABLE ALWAYS TRIGGER pghub_event_created, ENABLE ALWAYS TRIGGER pghub_event_updated, '
        || 'ENABLE ALWAYS TRIGGER pghub_event_deleted', table_name);
END $$;
-- +goose StatementEnd
COMMENT ON PROCEDURE pghub.record_events IS 'Makes every change of a table in schema github, which needs a column id, write events: for the migration that makes the table.';
CALL pghub.record_events('account');
CALL pghub.record_events('repository');
CALL pghub.record_events('label');
CALL pghub.record_events('milestone');
CALL pghub.record_events('issue');
CALL pghub.record_events('issue_comment');

-- +goose StatementBegin
CREATE FUNCTION pghub.maintain_events(at timestamptz DEFAULT now()) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' SET lock_timeout = '100ms' AS $$
DECLARE
    settings pghub.event_retention;
    week     timestamptz;
    part     record;
    moved    bigint;
    name     text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('pghub.maintain_events', 0)) THEN
        RETURN; -- somebody else is at it
    END IF;
    SELECT * INTO settings FROM pghub.event_retention;

    -- Old weeks go whole. It takes a lock on github.event that a client's open transaction may forbid: it is not waited
    -- for, because every writer of the mirror would wait behind us.
    FOR part IN
        SELECT c.relname, substring(pg_get_expr(c.relpartbound, c.oid) FROM $e$TO \('([^']+)'\)$e$)::timestamptz AS until
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'github.event'::regclass AND c.relname <> 'event_default' ORDER BY 2
    LOOP
        CONTINUE WHEN part.until > at - settings.keep;
        BEGIN
            EXECUTE format('LOCK TABLE ONLY github.event, ONLY pghub.%I IN ACCESS EXCLUSIVE MODE', part.relname);
            EXECUTE format('UPDATE pghub.event_retention r SET dropped_id = greatest(r.dropped_id, (SELECT max(id) FROM pghub.%I))', part.relname);
            EXECUTE format('DROP TABLE pghub.%I', part.relname);
            RETURN NEXT 'dropped ' || part.relname;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            RETURN NEXT 'postponed dropping ' || part.relname;
        END;
    END LOOP;
    WITH gone AS (DELETE FROM pghub.event_default WHERE occurred_at < at - settings.keep RETURNING id)
    UPDATE pghub.event_retention r SET dropped_id = greatest(r.dropped_id, d.id) FROM (SELECT max(id) AS id FROM gone) d WHERE d.id IS NOT NULL;

    -- New weeks are made aside and attached: unlike CREATE TABLE ... PARTITION OF, that does not wait for writers.
    -- Events that came before their week was made are in the default partition and move.
    FOR week IN SELECT generate_series(date_trunc('week', at), at + settings.ahead, '7 days') LOOP
        name := to_char(week, '"event_"YYYYMMDD');
        CONTINUE WHEN to_regclass('pghub.' || name) IS NOT NULL;
        BEGIN
            LOCK TABLE ONLY pghub.event_default IN ACCESS EXCLUSIVE MODE;
            EXECUTE format('CREATE TABLE pghub.%I (LIKE github.event INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)', name);
            EXECUTE format('WITH gone AS (DELETE FROM pghub.event_default WHERE occurred_at >= $1 AND occurred_at < $2 RETURNING *) '
                || 'INSERT INTO pghub.%I SELECT * FROM gone', name) USING week, week + interval '7 days';
            GET DIAGNOSTICS moved = ROW_COUNT;
            EXECUTE format('ALTER TABLE github.event ATTACH PARTITION pghub.%I FOR VALUES FROM (%L) TO (%L)', name, week, week + interval '7 days');
            RETURN NEXT format('made %s%s', name, CASE WHEN moved > 0 THEN format(', %s events moved into it', moved) ELSE '' END);
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            RETURN NEXT 'postponed making ' || name;
        END;
    END LOOP;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION pghub.maintain_events IS 'Drops the weekly partitions of github.event that are older than pghub.event_retention.keep, makes those of the weeks ahead, and says what it did. The syncer calls it; what locks forbid is tried again with the next call.';
REVOKE ALL ON FUNCTION pghub.maintain_events FROM PUBLIC;
SELECT pghub.maintain_events();

-- What event_hold is for: every id up to the result belongs to a transaction that has ended. The sequence is read before
-- the locks: whoever took an id up to there had its lock by then, and either still has it, or its events can be seen.
-- +goose StatementBegin
CREATE FUNCTION github.event_cursor() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    taken bigint;
    held  bigint;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'a standby does not know which transactions are about to commit',
            HINT = 'Read events on the primary server.';
    END IF;
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'events are read in READ COMMITTED transactions only',
            HINT = 'A snapshot taken earlier does not show all the events that can be seen by now.';
    END IF;
    SELECT last_value INTO taken FROM github.event_id;
    SELECT min(l.objid::bigint) * 100 INTO held FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.classid = 1885825125 AND l.objsubid = 2 AND l.granted
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
    RETURN least(taken, held);
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION github.event_cursor IS 'The cursor of now, for github.event_after: no event up to it can still appear. Take it first, then read the tables, then follow the events.';

-- +goose StatementBegin
CREATE FUNCTION github.event_after(cursor bigint DEFAULT 0, max_events int DEFAULT 1000) RETURNS SETOF github.event
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_sort = off SET jit = off AS $$
DECLARE
    until bigint := github.event_cursor();
BEGIN
    IF cursor > 0 AND EXISTS (SELECT FROM pghub.event_retention r WHERE r.dropped_id > cursor) THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'events after this cursor were dropped: they were older than pghub.event_retention.keep',
            HINT = 'Take github.event_cursor(), read the tables anew, and follow from there.';
    END IF;
    RETURN QUERY SELECT * FROM github.event e WHERE e.id > cursor AND e.id <= until ORDER BY e.id LIMIT max_events;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION github.event_after IS 'The next events after a cursor, which is the id of the last one processed, or 0 for the oldest kept: each exactly once, in the order of id, which for one row is that of its changes; none before all lower ones are committed or rolled back.';
RESET ROLE;

-- +goose Down
SELECT 'migrations go forward only';

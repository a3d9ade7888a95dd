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
-- For github.event_after: which events belong to the transactions between two horizons.
CREATE INDEX event_xid ON github.event (xid, id);
CREATE TABLE pghub.event_default PARTITION OF github.event DEFAULT;

COMMENT ON TABLE github.event IS 'Every change of a mirrored row, written in the transaction that made it; kept for pghub.event_retention.keep. Read it by github.event_after: docs/change-stream.md.';
COMMENT ON COLUMN github.event.id IS 'Number of the event. The changes of one row follow each other in it, but a lower number may be committed later than a higher one: no cursor by itself.';
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
    dropped_xid xid8,
    dropped_id  bigint
);
COMMENT ON TABLE pghub.event_retention IS 'How long github.event is kept; change keep by UPDATE as pghub_sync or a superuser.';
COMMENT ON COLUMN pghub.event_retention.only_row IS 'Keeps the table at one row.';
COMMENT ON COLUMN pghub.event_retention.keep IS 'Events older than this may be dropped; they go by whole weeks.';
COMMENT ON COLUMN pghub.event_retention.ahead IS 'How far ahead partitions are made.';
COMMENT ON COLUMN pghub.event_retention.dropped_xid IS 'Highest transaction whose events were dropped; tells a consumer that it came too late.';
COMMENT ON COLUMN pghub.event_retention.dropped_id IS 'Highest event that was dropped.';
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
-- +goose StatementBegin
CREATE FUNCTION pghub.event_updated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' SET plan_cache_mode = force_generic_plan SET enable_nestloop = off AS $$
DECLARE
    origin text := pghub.event_origin();
BEGIN
    IF NOT EXISTS (SELECT FROM new_rows) THEN
        RETURN NULL;
    END IF;
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
            EXECUTE format('UPDATE pghub.event_retention r SET dropped_xid = greatest(r.dropped_xid, d.xid), dropped_id = greatest(r.dropped_id, d.id) '
                || 'FROM (SELECT max(xid) AS xid, max(id) AS id FROM pghub.%I) d', part.relname);
            EXECUTE format('DROP TABLE pghub.%I', part.relname);
            RETURN NEXT 'dropped ' || part.relname;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            RETURN NEXT 'postponed dropping ' || part.relname;
        END;
    END LOOP;
    WITH gone AS (DELETE FROM pghub.event_default WHERE occurred_at < at - settings.keep RETURNING xid, id)
    UPDATE pghub.event_retention r SET dropped_xid = greatest(r.dropped_xid, d.xid), dropped_id = greatest(r.dropped_id, d.id)
    FROM (SELECT max(xid) AS xid, max(id) AS id FROM gone) d WHERE d.id IS NOT NULL;

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

-- +goose StatementBegin
CREATE FUNCTION github.event_cursor() RETURNS text
LANGUAGE sql VOLATILE SET search_path = pg_catalog AS $$
    SELECT format('%1$s:%1$s:0', pg_snapshot_xmin(pg_current_snapshot()))
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION github.event_cursor IS 'The cursor of now, for github.event_after: take it first, then read the tables, then follow the events.';

-- A cursor is FROM:TO:ID. The consumer is at event ID of those whose transactions lie from FROM up to, not including,
-- TO. Each TO was once the oldest running transaction, so that no event can still appear below it; and a transaction
-- that changed a row after another one did never lies in an earlier such window than that one. So within and across
-- windows the changes of a row come in their order.
-- +goose StatementBegin
CREATE FUNCTION github.event_after(cursor text DEFAULT '', max_events int DEFAULT 1000)
RETURNS TABLE (next_cursor text, id bigint, occurred_at timestamptz, table_name text, row_id bigint, repository_id bigint,
               action text, origin text, changed text[], old jsonb, data jsonb)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET enable_sort = off AS $$
#variable_conflict use_column
DECLARE
    part    text[] := string_to_array(nullif(cursor, ''), ':');
    horizon xid8 := pg_snapshot_xmin(pg_current_snapshot());
    low     xid8 := coalesce(part[1], '0')::xid8;
    high    xid8 := coalesce(part[2], '0')::xid8;
    last    bigint := coalesce(part[3], '0')::bigint;
BEGIN
    IF part IS NOT NULL AND cardinality(part) <> 3 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = format('"%s" is no cursor of github.event', cursor),
            HINT = 'Give next_cursor of the last event processed, the result of github.event_cursor(), or an empty text for the oldest event kept.';
    END IF;
    IF part IS NOT NULL AND EXISTS (SELECT FROM pghub.event_retention r
        WHERE r.dropped_xid >= high OR (r.dropped_xid >= low AND r.dropped_id > last)) THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'events after this cursor were dropped: they were older than pghub.event_retention.keep',
            HINT = 'Take github.event_cursor(), read the tables anew, and follow from there.';
    END IF;
    FOR attempt IN 1 .. 2 LOOP
        IF low < high THEN
            -- In the order of the primary key, from where the window begins; not by sorting the window each time.
            -- (+ 0, because the least number is sought in the index on xid, not by walking up the primary key.)
            IF last = 0 THEN
                SELECT min(e.id + 0) - 1 INTO last FROM github.event e WHERE e.xid >= low AND e.xid < high;
            END IF;
            RETURN QUERY
                SELECT format('%s:%s:%s', low, high, e.id), e.id, e.occurred_at, e.table_name, e.row_id, e.repository_id,
                       e.action, e.origin, e.changed, e.old, e.data
                FROM github.event e WHERE e.xid >= low AND e.xid < high AND e.id > last ORDER BY e.id LIMIT max_events;
            IF FOUND THEN
                RETURN;
            END IF;
        END IF;
        low := high;
        high := horizon;
        last := 0;
    END LOOP;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION github.event_after IS 'The next events after a cursor: each exactly once, the changes of one row in their order, none before all that might precede it is committed. An empty cursor begins with the oldest event kept.';
RESET ROLE;

-- +goose Down
SELECT 'migrations go forward only';

-- +goose Up
-- Write-through by plan and apply: docs/decisions/0002-plan-and-apply.md.
SET ROLE pghub_sync;

-- The key with which proxies and the triggers below sign what they tell each
-- other. Stored as the two padded halves of HMAC (RFC 2104), because Postgres
-- has sha256() built in but HMAC only in an extension.
CREATE TABLE pghub.signing_key (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    key       bytea NOT NULL CHECK (octet_length(key) = 64),
    inner_pad bytea NOT NULL,
    outer_pad bytea NOT NULL
);
COMMENT ON TABLE pghub.signing_key IS 'The secret shared by the proxies and the write-through triggers; readable by pghub_sync alone.';
COMMENT ON COLUMN pghub.signing_key.only_row IS 'Keeps the table at one row.';
COMMENT ON COLUMN pghub.signing_key.key IS 'The key: 64 bytes, the block size of SHA-256.';
COMMENT ON COLUMN pghub.signing_key.inner_pad IS 'key XOR 0x36, for HMAC''s inner hash.';
COMMENT ON COLUMN pghub.signing_key.outer_pad IS 'key XOR 0x5c, for HMAC''s outer hash.';
REVOKE ALL ON pghub.signing_key FROM PUBLIC;

-- +goose StatementBegin
CREATE FUNCTION pghub.xor_bytes(b bytea, mask int) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog AS $$
BEGIN
    FOR i IN 0 .. octet_length(b) - 1 LOOP
        b := set_byte(b, i, get_byte(b, i) # mask);
    END LOOP;
    RETURN b;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION pghub.xor_bytes IS 'Every byte of b combined with mask by exclusive or.';

-- gen_random_uuid() draws from the server's strong random source: 122 bits each.
WITH fresh AS (
    SELECT sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'))
        || sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')) AS key
)
INSERT INTO pghub.signing_key (key, inner_pad, outer_pad)
SELECT key, pghub.xor_bytes(key, 54), pghub.xor_bytes(key, 92) FROM fresh;

-- +goose StatementBegin
CREATE FUNCTION pghub.sign(message text) RETURNS text
LANGUAGE sql STABLE STRICT SET search_path = pg_catalog AS $$
    SELECT encode(sha256(outer_pad || sha256(inner_pad || convert_to(message, 'UTF8'))), 'hex') FROM pghub.signing_key
$$;
-- +goose StatementEnd
COMMENT ON FUNCTION pghub.sign IS 'HMAC-SHA256 of message under the signing key, in hex; for the trigger functions, not for clients.';
REVOKE ALL ON FUNCTION pghub.sign FROM PUBLIC;

-- The row trigger of every writable table. Settings it reads, all local to the
-- transaction and set by the proxy:
--   pghub.mode       '' or MODE:NONCE:SIGNATURE, signed over plan:NONCE:PID or apply:NONCE:PID:XID
--   pghub.ids        apply: {"row id": ordinal of its answer}
--   pghub.answer_N   apply: SIGNATURE:BASE64 of {"op","id","old","row"}, signed over NONCE:N:BASE64
--   pghub.inserted, pghub.applied   apply: how many answers were used, counted here
-- +goose StatementBegin
CREATE FUNCTION pghub.write_through() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    token   text[] := string_to_array(coalesce(current_setting('pghub.mode', true), ''), ':');
    mode    text   := 'none';
    report  text;
    old_row jsonb;
    new_row jsonb;
    ordinal text;
    parts   text[];
    answer  jsonb;
    known   jsonb;
    filled  jsonb;
BEGIN
    -- A token to apply is good for one transaction: kept for later, it would
    -- bring old answers back.
    IF cardinality(token) = 3
       AND token[3] = pghub.sign(concat_ws(':', token[1], token[2], pg_backend_pid(),
                                           CASE token[1] WHEN 'apply' THEN pg_current_xact_id() END)) THEN
        mode := token[1];
    END IF;

    IF mode NOT IN ('plan', 'apply') THEN
        RAISE EXCEPTION USING
            ERRCODE = '55000',
            MESSAGE = format('table "%s" mirrors GitHub: this change did not come through the pghub proxy', TG_TABLE_NAME),
            HINT = 'Connect to the pghub proxy, started with GitHub credentials, and name the table in the statement itself. '
                || 'Writes from functions and COPY are not passed on to GitHub.';
    END IF;

    -- An insert that names a row which exists is no create: it meets the unique
    -- constraint, and ON CONFLICT decides what becomes of it. The columns that
    -- must not be null are checked before that, so they come from the row.
    IF TG_OP = 'INSERT' THEN
        new_row := to_jsonb(NEW);
        IF new_row->>'id' IS NOT NULL OR new_row->>'number' IS NOT NULL THEN
            EXECUTE format('SELECT to_jsonb(t) FROM %I.%I t WHERE t.id = $1 OR (t.repository_id = $2 AND t.number = $3) LIMIT 1',
                           TG_TABLE_SCHEMA, TG_TABLE_NAME)
            INTO known USING (new_row->>'id')::bigint, (new_row->>'repository_id')::bigint, (new_row->>'number')::bigint;
            IF known IS NOT NULL THEN
                SELECT jsonb_object_agg(k.key, coalesce(nullif(n.value, 'null'), k.value)) INTO filled
                FROM jsonb_each(known) k LEFT JOIN jsonb_each(new_row) n USING (key);
                NEW := jsonb_populate_record(NEW, filled);
                RETURN NEW;
            END IF;
        END IF;
    END IF;

    IF mode = 'plan' THEN
        IF TG_OP <> 'INSERT' THEN
            old_row := to_jsonb(OLD);
        END IF;
        IF TG_OP = 'UPDATE' THEN
            SELECT jsonb_object_agg(n.key, n.value) INTO new_row
            FROM jsonb_each(to_jsonb(NEW)) n JOIN jsonb_each(old_row) o USING (key)
            WHERE n.value IS DISTINCT FROM o.value;
        END IF;
        report := replace(encode(convert_to(jsonb_build_object(
            'table', TG_TABLE_NAME,
            'op', lower(TG_OP),
            'old', old_row - 'payload',
            'new', CASE WHEN TG_OP <> 'DELETE' THEN coalesce(new_row, '{}') END,
            'digest', CASE WHEN TG_OP <> 'INSERT' THEN md5(OLD::text) END
        )::text, 'UTF8'), 'base64'), E'\n', '');
        RAISE INFO USING
            ERRCODE = 'PH001',
            MESSAGE = pghub.sign('report:' || token[2] || ':' || report) || ':' || report;
        RETURN NULL;
    END IF;

    IF TG_OP = 'INSERT' THEN
        ordinal := coalesce(nullif(current_setting('pghub.inserted', true), ''), '0');
        PERFORM set_config('pghub.inserted', (ordinal::int + 1)::text, true);
    ELSE
        ordinal := coalesce(nullif(current_setting('pghub.ids', true), ''), '{}')::jsonb->>(OLD.id::text);
    END IF;
    parts := string_to_array(current_setting('pghub.answer_' || ordinal, true), ':');
    IF ordinal IS NULL OR coalesce(cardinality(parts), 0) <> 2 THEN
        RAISE EXCEPTION USING
            ERRCODE = '40001',
            MESSAGE = format('the rows of "%s" that this statement changes became others while GitHub was asked', TG_TABLE_NAME),
            HINT = 'Run the transaction again.';
    END IF;
    IF parts[1] <> pghub.sign(token[2] || ':' || ordinal || ':' || parts[2]) THEN
        RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'the answer for this row was not signed by the pghub proxy';
    END IF;
    answer := convert_from(decode(parts[2], 'base64'), 'UTF8')::jsonb;
    IF answer->>'table' <> TG_TABLE_NAME OR answer->>'op' <> lower(TG_OP)
       OR (TG_OP <> 'INSERT' AND ((answer->>'id')::bigint <> OLD.id OR answer->>'old' <> md5(OLD::text))) THEN
        RAISE EXCEPTION USING
            ERRCODE = '40001',
            MESSAGE = format('the rows of "%s" that this statement changes became others while GitHub was asked', TG_TABLE_NAME),
            HINT = 'Run the transaction again.';
    END IF;
    PERFORM set_config('pghub.applied',
        (coalesce(nullif(current_setting('pghub.applied', true), ''), '0')::int + 1)::text, true);

    CASE TG_OP
    WHEN 'INSERT' THEN
        new_row := answer->'row';
        -- GitHub's own news of this row may have been stored before us.
        EXECUTE format('DELETE FROM %I.%I WHERE id = $1', TG_TABLE_SCHEMA, TG_TABLE_NAME) USING (new_row->>'id')::bigint;
        NEW := jsonb_populate_record(NEW, new_row);
        NEW.synced_at := clock_timestamp();
        RETURN NEW;
    WHEN 'UPDATE' THEN
        IF answer->'row' = 'null' THEN
            RETURN OLD; -- nothing to change on GitHub, so nothing here
        END IF;
        -- Fields that the answer lacks keep what is known, in the columns and in payload.
        NEW := jsonb_populate_record(OLD, answer->'row');
        NEW.payload := OLD.payload || NEW.payload;
        NEW.synced_at := clock_timestamp();
        RETURN NEW;
    ELSE
        INSERT INTO pghub.tombstone (table_name, id) VALUES (TG_TABLE_NAME, OLD.id) ON CONFLICT DO NOTHING;
        IF TG_TABLE_NAME = 'issue' THEN -- GitHub deletes an issue's comments with it
            WITH gone AS (DELETE FROM github.issue_comment WHERE issue_id = OLD.id RETURNING id)
            INSERT INTO pghub.tombstone (table_name, id) SELECT 'issue_comment', id FROM gone ON CONFLICT DO NOTHING;
        END IF;
        RETURN OLD;
    END CASE;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION pghub.write_through IS 'Row trigger of the writable tables: reports the planned change, applies GitHub''s answer, or refuses.';

-- +goose StatementBegin
CREATE FUNCTION pghub.refuse_write() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = '55000',
        MESSAGE = CASE TG_OP
            WHEN 'TRUNCATE' THEN format('table "%s" mirrors GitHub: TRUNCATE is not passed on to GitHub', TG_TABLE_NAME)
            ELSE format('table "%s" mirrors GitHub and is read-only', TG_TABLE_NAME) END,
        HINT = CASE TG_OP
            WHEN 'TRUNCATE' THEN 'Use DELETE on single rows, through the pghub proxy, where the table allows it.'
            ELSE 'Change it on GitHub; the change shows here after the next sync.' END;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION pghub.refuse_write IS 'Trigger of the read-only mirrored tables, and of TRUNCATE on all of them.';

-- Rows written by the owner are the syncer's. ALWAYS, because
-- session_replication_role = replica would walk past ordinary triggers.
CREATE TRIGGER pghub_write_through BEFORE INSERT OR UPDATE OR DELETE ON github.issue
    FOR EACH ROW WHEN (current_user <> 'pghub_sync') EXECUTE FUNCTION pghub.write_through();
ALTER TABLE github.issue ENABLE ALWAYS TRIGGER pghub_write_through;

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['account', 'repository', 'label', 'milestone', 'issue', 'issue_comment'] LOOP
        IF t <> 'issue' THEN
            EXECUTE format('CREATE TRIGGER pghub_refuse BEFORE INSERT OR UPDATE OR DELETE ON github.%I '
                || 'FOR EACH ROW WHEN (current_user <> ''pghub_sync'') EXECUTE FUNCTION pghub.refuse_write()', t);
            EXECUTE format('ALTER TABLE github.%I ENABLE ALWAYS TRIGGER pghub_refuse', t);
        END IF;
        EXECUTE format('CREATE TRIGGER pghub_refuse_truncate BEFORE TRUNCATE ON github.%I '
            || 'FOR EACH STATEMENT WHEN (current_user <> ''pghub_sync'') EXECUTE FUNCTION pghub.refuse_write()', t);
        EXECUTE format('ALTER TABLE github.%I ENABLE ALWAYS TRIGGER pghub_refuse_truncate', t);
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION pghub.lock_planned(table_name text, ids bigint[], digests text[],
    OUT changed bigint[], OUT xid xid8, OUT pid int, OUT role text, OUT application text, OUT idle_timeout text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found bigint[];
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = 'github' AND c.relname = table_name AND g.tgname = 'pghub_write_through') THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = format('"%s" is not a writable mirror table', table_name);
    END IF;
    EXECUTE format('SELECT array_agg(l.id) FROM (SELECT t.id, md5(t::text) AS digest FROM github.%I t WHERE t.id = ANY($1) '
            || 'ORDER BY t.id FOR NO KEY UPDATE) l JOIN unnest($1, $2) AS p(id, digest) ON p.id = l.id AND p.digest = l.digest', table_name)
        INTO found USING ids, digests;
    SELECT array_agg(i) INTO changed FROM unnest(ids) i WHERE i <> ALL (coalesce(found, '{}'));
    xid := pg_current_xact_id();
    pid := pg_backend_pid();
    role := session_user;
    application := current_setting('application_name');
    -- While GitHub is asked the session is idle in its transaction, through no
    -- fault of the client's: finish_apply puts the value back.
    idle_timeout := current_setting('idle_in_transaction_session_timeout');
    PERFORM set_config('idle_in_transaction_session_timeout', '0', true);
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION pghub.lock_planned IS 'Locks the rows a statement plans to change until the transaction ends; says which are no longer what was planned, and which transaction this is.';
REVOKE ALL ON FUNCTION pghub.lock_planned FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pghub.lock_planned TO pghub_writer;

-- +goose StatementBegin
CREATE FUNCTION pghub.finish_apply(answers int, idle_timeout text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    applied int := coalesce(nullif(current_setting('pghub.applied', true), ''), '0')::int;
BEGIN
    PERFORM set_config('pghub.mode', '', true), set_config('pghub.ids', '', true),
            set_config('pghub.inserted', '', true), set_config('pghub.applied', '', true),
            set_config('idle_in_transaction_session_timeout',
                coalesce(idle_timeout, current_setting('idle_in_transaction_session_timeout')), true);
    FOR i IN 0 .. answers - 1 LOOP
        PERFORM set_config('pghub.answer_' || i, '', true);
    END LOOP;
    IF applied <> answers THEN
        RAISE EXCEPTION USING
            ERRCODE = '40001',
            MESSAGE = format('the statement was to change %s rows when it was planned, and changed %s when GitHub''s answers were stored', answers, applied),
            HINT = 'Run the transaction again.';
    END IF;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION pghub.finish_apply IS 'Ends apply mode, and fails if the statement did not use as many answers as it has planned rows.';

-- +goose StatementBegin
CREATE FUNCTION pghub.raise_error(state text, message text, detail text, hint text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- An option of RAISE must not be null, and an empty one would be shown.
    IF detail IS NULL AND hint IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message;
    ELSIF hint IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, DETAIL = detail;
    ELSIF detail IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, HINT = hint;
    END IF;
    RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, DETAIL = detail, HINT = hint;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION pghub.raise_error IS 'Fails with the given error: the proxy lets the server raise GitHub''s refusals, so that transactions, savepoints and pipelines behave as after any error.';
GRANT USAGE ON SCHEMA pghub TO PUBLIC;
RESET ROLE;

-- +goose Down
SELECT 'migrations go forward only';

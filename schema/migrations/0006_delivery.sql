-- +goose Up
-- Webhook deliveries: stored when they arrive, worked off by the syncer.
SET ROLE pghub_sync;

CREATE TABLE pghub.delivery (
    guid            text PRIMARY KEY,
    seq             bigint GENERATED ALWAYS AS IDENTITY,
    event           text NOT NULL,
    action          text NOT NULL,
    repository_id   bigint,
    installation_id bigint,
    lane            text NOT NULL,
    status          text NOT NULL DEFAULT 'unprocessed'
                    CHECK (status IN ('unprocessed', 'processing', 'processed', 'ignored', 'errored')),
    reason          text NOT NULL DEFAULT '',
    attempts        int NOT NULL DEFAULT 0,
    received_at     timestamptz NOT NULL,
    processed_at    timestamptz,
    next_try        timestamptz NOT NULL DEFAULT clock_timestamp(),
    content_type    text NOT NULL,
    headers         jsonb NOT NULL,
    body            bytea NOT NULL
);
CREATE UNIQUE INDEX delivery_seq ON pghub.delivery (seq);
CREATE INDEX delivery_open ON pghub.delivery (lane, seq) WHERE status IN ('unprocessed', 'processing');
CREATE INDEX delivery_status ON pghub.delivery (status, seq);
CREATE INDEX delivery_done ON pghub.delivery (processed_at) WHERE status IN ('processed', 'ignored');

COMMENT ON TABLE pghub.delivery IS 'Webhook deliveries that arrived with a good signature. unprocessed, then processing, then processed, ignored, or (after the last try) errored; a failed try goes back to unprocessed. Processed and ignored ones are dropped after the retention time.';
COMMENT ON COLUMN pghub.delivery.guid IS 'X-GitHub-Delivery: the same when GitHub delivers again.';
COMMENT ON COLUMN pghub.delivery.seq IS 'Order of arrival.';
COMMENT ON COLUMN pghub.delivery.event IS 'X-GitHub-Event, such as issues.';
COMMENT ON COLUMN pghub.delivery.action IS 'Action of the payload, such as opened; empty when it has none.';
COMMENT ON COLUMN pghub.delivery.repository_id IS 'Repository that the payload names; null when it names none.';
COMMENT ON COLUMN pghub.delivery.installation_id IS 'Installation of the GitHub App that the payload names; null when it names none.';
COMMENT ON COLUMN pghub.delivery.lane IS 'Object that it is about: deliveries of one lane are processed one after the other, in the order of seq.';
COMMENT ON COLUMN pghub.delivery.status IS 'unprocessed, processing, processed, ignored or errored.';
COMMENT ON COLUMN pghub.delivery.reason IS 'Why it was ignored, or what the last try failed of; for a processed one, what it did.';
COMMENT ON COLUMN pghub.delivery.attempts IS 'Tries so far, the present one included.';
COMMENT ON COLUMN pghub.delivery.received_at IS 'When it came first.';
COMMENT ON COLUMN pghub.delivery.processed_at IS 'When it became processed, ignored or errored; null before.';
COMMENT ON COLUMN pghub.delivery.next_try IS 'Not tried before then.';
COMMENT ON COLUMN pghub.delivery.content_type IS 'application/json, or application/x-www-form-urlencoded when the payload is a form field of the body.';
COMMENT ON COLUMN pghub.delivery.headers IS 'The other headers that tell where it comes from: X-GitHub-Hook-ID and X-GitHub-Hook-Installation-Target-*.';
COMMENT ON COLUMN pghub.delivery.body IS 'The body as it came, byte for byte: what the signature was made of.';
RESET ROLE;

-- +goose Down
SELECT 'migrations go forward only';

-- +goose Up
-- What the syncer needs beyond the minimum of 0001: where a collection stands,
-- when it is due, and which repositories are followed.
SET ROLE pghub_sync;

ALTER TABLE pghub.sync_state
    ADD COLUMN items_done bigint NOT NULL DEFAULT 0,
    ADD COLUMN backfilled_at timestamptz,
    ADD COLUMN waiting_until timestamptz,
    ADD COLUMN next_poll_at timestamptz;

COMMENT ON COLUMN pghub.sync_state.items_done IS 'Objects of GitHub''s list read by the first backfill, pull requests in the issues list included; compare with rows_expected.';
COMMENT ON COLUMN pghub.sync_state.backfilled_at IS 'When the first backfill was complete; null before.';
COMMENT ON COLUMN pghub.sync_state.waiting_until IS 'GitHub''s limit holds the work up until then.';
COMMENT ON COLUMN pghub.sync_state.next_poll_at IS 'When the repository (its row of collection repository) is polled next; for repository 0, when new repositories are looked for.';
CREATE INDEX sync_state_due ON pghub.sync_state (next_poll_at) WHERE next_poll_at IS NOT NULL;

CREATE TABLE pghub.followed (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          text NOT NULL,
    repository_id bigint,
    named         boolean NOT NULL,
    active        boolean NOT NULL DEFAULT true,
    checked_at    timestamptz,
    last_error    text,
    last_error_at timestamptz
);
CREATE UNIQUE INDEX followed_named ON pghub.followed (lower(name)) WHERE named;
CREATE UNIQUE INDEX followed_seen ON pghub.followed (repository_id) WHERE NOT named;

COMMENT ON TABLE pghub.followed IS 'Repositories to keep current: named by the settings, or seen with the credential when none is named.';
COMMENT ON COLUMN pghub.followed.id IS 'Number of this entry.';
COMMENT ON COLUMN pghub.followed.name IS 'owner/name as the settings have it, or as GitHub had it when the repository was first seen.';
COMMENT ON COLUMN pghub.followed.repository_id IS 'REST id; null until GitHub showed the repository.';
COMMENT ON COLUMN pghub.followed.named IS 'Named by the settings.';
COMMENT ON COLUMN pghub.followed.active IS 'Is kept current. What is no longer named or seen stays in the mirror as it was.';
COMMENT ON COLUMN pghub.followed.checked_at IS 'When GitHub last answered for it.';
COMMENT ON COLUMN pghub.followed.last_error IS 'Why it cannot be followed; null when it can.';
COMMENT ON COLUMN pghub.followed.last_error_at IS 'When that was found.';
RESET ROLE;

-- +goose Down
SELECT 'migrations go forward only';

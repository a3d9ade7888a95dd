package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Entry is an open entry that has to be repaired.
type Entry struct {
	ID, RepositoryID, RowID, Number int64 // 0 where not known
	Table, Op                       string
	Status                          Status
	Columns                         map[string]json.RawMessage
	IntentAt                        time.Time
	Attempts                        int
}

// ClaimTime is how long a claimed entry is left to whoever claimed it.
const ClaimTime = 30 * time.Second

// foreignGrace is how long the ended transactions of another living proxy are
// left to it: it closes its entries itself, right after the transaction.
const foreignGrace = time.Minute

// Claim returns up to limit open entries whose transaction has ended without
// anybody closing them, and leaves them to the caller for ClaimTime. Entries
// in busy are this proxy's statements under way and are left alone.
//
// A transaction counts as ended when pg_xact_status says so (PostgreSQL
// documentation, 9.26 System Information Functions), and also when its number
// was never given out: then the table came from another cluster.
func (l *Ledger) Claim(ctx context.Context, busy []int64, limit int) ([]Entry, error) {
	if busy == nil {
		busy = []int64{}
	}
	rows, err := l.pool.Query(ctx, `
		UPDATE pghub.write w SET attempts = attempts + 1, retry_at = clock_timestamp() + $4
		WHERE w.id IN (
			SELECT id FROM pghub.write
			WHERE closed_at IS NULL AND (retry_at IS NULL OR retry_at <= clock_timestamp())
			  AND NOT id = ANY($1)
			  AND CASE WHEN xid >= pg_current_xact_id() THEN true
			      ELSE coalesce(pg_xact_status(xid), 'forgotten') <> 'in progress' END
			  AND (proxy = $2 OR coalesce(answered_at, intent_at) < clock_timestamp() - $5::interval
			       OR NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = $6::bigint::oid
			                      AND objid = proxy::bigint::oid AND objsubid = 2 AND granted
			                      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())))
			ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
		RETURNING id, coalesce(repository_id, 0), coalesce(row_id, 0), coalesce(number, 0), table_name, op, status, change, intent_at, attempts`,
		busy, l.proxy, limit, ClaimTime, foreignGrace, int64(lockClass))
	if err != nil {
		return nil, fmt.Errorf("looking for open ledger entries: %w", err)
	}
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e Entry, err error) {
		err = row.Scan(&e.ID, &e.RepositoryID, &e.RowID, &e.Number, &e.Table, &e.Op, &e.Status, &e.Columns, &e.IntentAt, &e.Attempts)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("looking for open ledger entries: %w", err)
	}
	return entries, nil
}

// Retry says when a claimed entry that could not be repaired may be tried
// again, and why it could not.
func (l *Ledger) Retry(ctx context.Context, id int64, after time.Duration, why string) error {
	_, err := l.pool.Exec(ctx, `UPDATE pghub.write SET retry_at = clock_timestamp() + $2::interval, message = $3
		WHERE id = $1 AND closed_at IS NULL`, id, after, why)
	if err != nil {
		return fmt.Errorf("putting off a repair: %w", err)
	}
	return nil
}

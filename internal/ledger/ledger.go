// Package ledger keeps the record of every write that goes to GitHub: the
// intent, committed before the first request leaves, and what came of it. With
// it, whatever happens between GitHub's answer and the client's COMMIT can be
// found and repaired.
package ledger

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Status is the state of an entry; the column comment of pghub.write.status
// says what each means.
type Status string

// The states. An entry is open in StatusIntent, StatusAnswered and
// StatusUnknown, and closed in the others.
const (
	StatusIntent    Status = "intent"
	StatusAnswered  Status = "answered"
	StatusUnknown   Status = "unknown"
	StatusRefused   Status = "refused"
	StatusSkipped   Status = "skipped"
	StatusCommitted Status = "committed"
	StatusRepaired  Status = "repaired"
)

// lockClass is the first key of the advisory locks by which proxies show that
// they are alive; the second is the proxy's number.
const lockClass = 0x70676877 // "pghw"

// Ledger writes and reads table pghub.write. It is safe for concurrent use.
type Ledger struct {
	pool  *pgxpool.Pool
	proxy int32
}

// New returns the ledger of one proxy process. The sessions of pool must run
// as pghub_sync (schema.Connect).
func New(pool *pgxpool.Pool) (*Ledger, error) {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, fmt.Errorf("drawing a number for this proxy: %w", err)
	}
	return &Ledger{pool: pool, proxy: int32(binary.BigEndian.Uint32(b[:]) >> 1)}, nil
}

// HoldLease shows other proxies that this one is alive, so that they leave its
// entries alone: it holds an advisory lock, on a connection of its own, until
// ctx ends. A lost connection is replaced.
func (l *Ledger) HoldLease(ctx context.Context) {
	wait := 100 * time.Millisecond
	for ctx.Err() == nil {
		if l.holdOnce(ctx) {
			wait = 100 * time.Millisecond
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}

// holdOnce takes the lock and returns when its connection breaks or ctx ends;
// it reports whether it had the lock.
func (l *Ledger) holdOnce(ctx context.Context) bool {
	conn, err := l.pool.Acquire(ctx)
	if err != nil {
		return false
	}
	// The lock belongs to the session: the connection must not go back to the pool.
	raw := conn.Hijack()
	defer raw.Close(context.WithoutCancel(ctx))
	if _, err := raw.Exec(ctx, `SELECT pg_advisory_lock($1, $2)`, int32(lockClass), l.proxy); err != nil {
		return false
	}
	for {
		// No channel is listened to: this returns only on ctx or a broken connection.
		if _, err := raw.WaitForNotification(ctx); err != nil {
			return true
		}
	}
}

// Change is one row change about to be sent.
type Change struct {
	Table string
	Op    string
	// RepositoryID, RowID and Number are 0 where not known yet.
	RepositoryID, RowID, Number int64
	// Columns holds the changed columns and their new values.
	Columns map[string]json.RawMessage
}

// Statement is what a client's statement is about to change.
type Statement struct {
	Role, Application, Kind string
	PID                     int32
	XID                     string
	Changes                 []Change
}

// Intent writes the statement down and commits. It returns the entries' ids in
// the order of the changes.
func (l *Ledger) Intent(ctx context.Context, st Statement) ([]int64, error) {
	batch := &pgx.Batch{}
	ids := make([]int64, len(st.Changes))
	for i, c := range st.Changes {
		columns, err := json.Marshal(c.Columns)
		if err != nil {
			return nil, fmt.Errorf("encoding the change for the ledger: %w", err)
		}
		// The first row draws the statement's number, the others reuse it: the
		// batch is one implicit transaction on one session.
		statement := `currval('pghub.write_statement')`
		if i == 0 {
			statement = `nextval('pghub.write_statement')`
		}
		batch.Queue(`INSERT INTO pghub.write (statement, ordinal, table_name, op, repository_id, row_id, number, change,
				role, application, kind, proxy, pid, xid)
			VALUES (`+statement+`, $1, $2, $3, nullif($4::bigint, 0), nullif($5::bigint, 0), nullif($6::bigint, 0), $7,
				$8, $9, $10, $11, $12, $13::text::xid8)
			RETURNING id`,
			i, c.Table, c.Op, c.RepositoryID, c.RowID, c.Number, json.RawMessage(columns),
			st.Role, st.Application, st.Kind, l.proxy, st.PID, st.XID,
		).QueryRow(func(row pgx.Row) error { return row.Scan(&ids[i]) })
	}
	if err := l.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("writing the intent to the ledger: %w", err)
	}
	return ids, nil
}

// Outcome is what became of one entry.
type Outcome struct {
	Status Status
	// RowID and Number of a created row; 0 leaves what is known.
	RowID, Number int64
	// UpdatedAt of the row GitHub answered; zero when it answered none.
	UpdatedAt time.Time
	Requests  int
	RequestID string
	// SQLSTATE, Message and Detail are what the client gets; empty on success.
	SQLSTATE, Message, Detail string
}

// Record writes down what GitHub answered for entry id.
func (l *Ledger) Record(ctx context.Context, id int64, o Outcome) error {
	return record(ctx, l.pool, id, o)
}

// RecordTx is Record inside a transaction of the caller's.
func (l *Ledger) RecordTx(ctx context.Context, tx pgx.Tx, id int64, o Outcome) error {
	return record(ctx, tx, id, o)
}

func record(ctx context.Context, db execer, id int64, o Outcome) error {
	if _, err := db.Exec(ctx, recordSQL, o.arguments(id)...); err != nil {
		return fmt.Errorf("writing the outcome to the ledger: %w", err)
	}
	return nil
}

const recordSQL = `UPDATE pghub.write SET status = $2,
			row_id = coalesce(nullif($3::bigint, 0), row_id), number = coalesce(nullif($4::bigint, 0), number),
			answer_updated_at = coalesce($5, answer_updated_at), requests = requests + $6,
			request_id = coalesce(nullif($7, ''), request_id), sqlstate = coalesce(nullif($8, ''), sqlstate),
			message = coalesce(nullif($9, ''), message), detail = coalesce(nullif($10, ''), detail),
			answered_at = coalesce(answered_at, clock_timestamp()),
			closed_at = CASE WHEN $2 IN ('refused', 'skipped', 'committed', 'repaired') THEN clock_timestamp() END
		WHERE id = $1 AND closed_at IS NULL`

func (o Outcome) arguments(id int64) []any {
	var updated *time.Time
	if !o.UpdatedAt.IsZero() {
		updated = &o.UpdatedAt
	}
	return []any{id, string(o.Status), o.RowID, o.Number, updated, o.Requests, o.RequestID, o.SQLSTATE, o.Message, o.Detail}
}

// RecordAll is Record for several entries, in order, in one transaction whose
// commit is not waited for on disk: what is lost in a crash of the server is
// open afterwards.
func (l *Ledger) RecordAll(ctx context.Context, ids []int64, outcomes []Outcome) error {
	return pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(`SET LOCAL synchronous_commit = off`)
		for i, id := range ids {
			batch.Queue(recordSQL, outcomes[i].arguments(id)...)
		}
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return fmt.Errorf("writing outcomes to the ledger: %w", err)
		}
		return nil
	})
}

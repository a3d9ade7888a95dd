package schema

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// UpsertResult tells what became of the rows given to Upsert. Rows that are neither counted nor deferred were older than
// what is stored, the same, or have a tombstone.
type UpsertResult struct {
	// Changed is the number of rows inserted or updated.
	Changed int64
	// Deferred are rows that could not be judged or stored now: fetch them again a little later. They are locked by another
	// transaction; or a client's INSERT is about to store them; or they differ from a stored row of the same updated_at that
	// was stored after their request began; or they refer to a row that the mirror does not have; or a unique constraint
	// or a NOT NULL column without a value stands in the way.
	Deferred []Row
}

// Upsert brings rows into the mirror without ever replacing newer by older, and without waiting for a client's locks.
//
// fetchedAt is when the request that brought the rows began (time.Now, with its monotonic reading where possible: the age
// of the answer counts, so the clocks of this machine and of the server need not agree). A row replaces the stored one when
// its updated_at is greater, or equal and its request began after the stored one was stored. For tables without
// updated_at (account, label) the second rule stands alone, and what it leaves out is not deferred. Columns that GitHub's
// answer did not carry keep what they hold.
//
// Rows of several tables may be mixed; they are stored so that references find their targets. Two rows of one id become
// one. A label or account that has a new name is renamed in the arrays of its issues too.
//
// tx should be READ COMMITTED and a session of Connect. Concurrent calls in transactions of one Upsert each do not
// deadlock on rows; with more than one, retry on 40P01. On an error the transaction is useless.
func Upsert(ctx context.Context, tx pgx.Tx, rows []Row, fetchedAt time.Time) (UpsertResult, error) {
	var result UpsertResult
	batches := split(rows)
	if len(batches) == 0 {
		return result, nil
	}
	fetched, err := begin(ctx, tx, batches, fetchedAt)
	if err != nil {
		return result, err
	}
	for _, b := range batches {
		if err := b.load(ctx, tx); err != nil {
			return result, err
		}
	}
	var queue pgx.Batch
	for _, b := range batches {
		b.merge(&queue, fetched, &result)
	}
	if err := tx.SendBatch(ctx, &queue).Close(); err != nil {
		return UpsertResult{}, fmt.Errorf("merging rows: %w", err)
	}
	return result, nil
}

// begin makes the staging tables where the session does not have them yet, empties them where an earlier Upsert of the
// transaction filled them, and returns fetchedAt by the server's clock, rather too early than too late.
func begin(ctx context.Context, tx pgx.Tx, batches []*batch, fetchedAt time.Time) (time.Time, error) {
	var names []string
	for _, b := range batches {
		names = append(names, b.table.staged(), b.table.verdicts())
	}
	var now time.Time
	var missing, filled bool
	// A plan made while a table was still empty would scan all of it once it is not.
	err := tx.QueryRow(ctx, `
		SELECT clock_timestamp(), bool_or(to_regclass(n) IS NULL), coalesce(sum(pg_relation_size(to_regclass(n))), 0) > 0,
		       set_config('plan_cache_mode', 'force_custom_plan', true) <> '',
		       CASE WHEN $2 <> '' THEN set_config('pghub.origin', $2, true) END
		FROM unnest($1::text[]) n`, names, originOf(ctx)).Scan(&now, &missing, &filled, nil, nil)
	fetched := now.Add(-time.Since(fetchedAt))
	if err != nil {
		return fetched, fmt.Errorf("looking for the staging tables: %w", err)
	}
	if !missing && !filled {
		return fetched, nil
	}
	for _, b := range batches {
		if _, err := tx.Exec(ctx, b.table.staging(), pgx.QueryExecModeSimpleProtocol); err != nil {
			return fetched, fmt.Errorf("making the staging table of %s: %w", b.table.Name, err)
		}
	}
	return fetched, nil
}

// batch is the rows of one table in one Upsert, each id once.
type batch struct {
	table *Table
	rows  []Row
	// known[i] is the number of rows that know column i.
	known []int
}

// split sorts rows by table and joins rows of the same id.
func split(rows []Row) []*batch {
	byTable := make(map[*Table]*batch)
	place := make(map[*Table]map[int64]int)
	for _, row := range rows {
		b := byTable[row.Table]
		if b == nil {
			b = &batch{table: row.Table}
			byTable[row.Table], place[row.Table] = b, make(map[int64]int)
		}
		if at, ok := place[row.Table][row.ID()]; ok {
			b.rows[at] = join(b.rows[at], row)
			continue
		}
		place[row.Table][row.ID()] = len(b.rows)
		b.rows = append(b.rows, row)
	}
	var batches []*batch
	for _, t := range Tables {
		if b := byTable[t]; b != nil {
			b.known = make([]int, len(t.Columns))
			for _, row := range b.rows {
				for i := range t.Columns {
					if row.known(i) {
						b.known[i]++
					}
				}
			}
			batches = append(batches, b)
		}
	}
	return batches
}

// load copies the rows into the staging table; columns that no row knows stay out.
func (b *batch) load(ctx context.Context, tx pgx.Tx) error {
	columns, positions := []string{"ord", "known"}, []int(nil)
	for i, c := range b.table.Columns {
		if b.known[i] > 0 && c.resolve == "" && c.Name != "synced_at" {
			columns, positions = append(columns, c.Name), append(positions, i)
		}
	}
	values := make([]any, len(columns))
	next := 0
	source := pgx.CopyFromFunc(func() ([]any, error) {
		if next == len(b.rows) {
			return nil, nil
		}
		row := b.rows[next]
		values[0], values[1] = int32(next), row.knownBits()
		for i, p := range positions {
			values[i+2] = row.Values[p]
		}
		next++
		return values, nil
	})
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", stagedName(b.table)}, columns, source); err != nil {
		return fmt.Errorf("loading %d rows of %s: %w", len(b.rows), b.table.Name, err)
	}
	return nil
}

// merge queues the statements that judge the loaded rows and store those that may be stored.
func (b *batch) merge(queue *pgx.Batch, fetched time.Time, result *UpsertResult) {
	sql := b.statements()
	queue.Queue(sql.judge, fetched)
	if r := b.table.rename; r != nil {
		queue.Queue(sql.holdRenames)
		queue.Queue(sql.rename, fetched)
	}
	queue.Queue(sql.apply).QueryRow(func(row pgx.Row) error {
		var changed int64
		var deferred []int32
		if err := row.Scan(&changed, &deferred); err != nil {
			return fmt.Errorf("merging %d rows of %s: %w", len(b.rows), b.table.Name, err)
		}
		result.Changed += changed
		for _, ord := range deferred {
			result.Deferred = append(result.Deferred, b.rows[ord])
		}
		return nil
	})
	if b.table == Issue {
		queue.Queue(linkComments)
	}
}

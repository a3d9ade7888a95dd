package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/schema"
)

// page is one page of a list as GitHub gave it.
type page struct {
	items []json.RawMessage
	// fetchedAt is when the request started.
	fetchedAt time.Time
}

// stored says what became of a page.
type stored struct {
	// rows of the collection's own table that the page held.
	rows int64
	// numbers of the issues that the page held, or whose comments it held.
	numbers []int64
	// late rows could not be merged because another transaction held them or
	// newer news of them; settle tries them once more after the commit.
	late []schema.Row
	// newest is the latest updated_at of all objects, dropped ones included.
	newest time.Time
}

// store merges a page into the mirror inside the caller's transaction. Rows
// that must wait are put into the queue in the same transaction.
func (s *Syncer) store(ctx context.Context, tx pgx.Tx, repositoryID int64, c *collection, p page) (stored, error) {
	var out stored
	var rows []schema.Row
	scope := schema.Scope{RepositoryID: repositoryID}
	for _, raw := range p.items {
		var stamp struct {
			UpdatedAt time.Time `json:"updated_at"`
		}
		if err := json.Unmarshal(raw, &stamp); err != nil {
			return out, fmt.Errorf("decoding an object of the %s list: %w", c.name, err)
		}
		if stamp.UpdatedAt.After(out.newest) {
			out.newest = stamp.UpdatedAt
		}
		own, err := c.table.Rows(raw, scope)
		if errors.Is(err, schema.ErrPullRequest) {
			continue
		}
		if err != nil {
			return out, err
		}
		rows = append(rows, own...)
		out.rows++
		if n, ok := issueNumber(own[len(own)-1]); ok {
			out.numbers = append(out.numbers, n)
		}
	}
	var err error
	out.late, err = s.merge(ctx, tx, repositoryID, rows, p.fetchedAt)
	return out, err
}

// merge upserts rows. Of those that must wait, issues and comments become
// refetch jobs; the others are returned.
func (s *Syncer) merge(ctx context.Context, tx pgx.Tx, repositoryID int64, rows []schema.Row, fetchedAt time.Time) (late []schema.Row, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	result, err := schema.Upsert(ctx, tx, rows, fetchedAt)
	if err != nil {
		return nil, fmt.Errorf("merging rows of repository %d: %w", repositoryID, err)
	}
	var again []refetchArgs
	for _, row := range result.Deferred {
		switch number, _ := issueNumber(row); {
		case row.Table == schema.Issue:
			again = append(again, refetchArgs{RepositoryID: repositoryID, Number: number})
		case row.Table == schema.IssueComment:
			id, _ := row.Get("id").(int64)
			again = append(again, refetchArgs{RepositoryID: repositoryID, Number: number, CommentID: id})
		default:
			late = append(late, row)
		}
	}
	return late, s.enqueueRefetches(ctx, tx, again)
}

// settleLate merges rows that were locked when their page was merged. Such locks
// are other pages with the same accounts, labels or milestones, held for
// milliseconds. What is still locked after some tries is seen again: accounts
// with their next object, the lists by being read unconditionally.
func (s *Syncer) settleLate(ctx context.Context, repositoryID int64, late []schema.Row, fetchedAt time.Time) error {
	for try := 0; len(late) > 0 && try < 5; try++ {
		if try > 0 {
			if err := wait(ctx, 10*time.Millisecond<<try); err != nil {
				return err
			}
		}
		err := inTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
			late, err = s.merge(ctx, tx, repositoryID, late, fetchedAt)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, t := range []*schema.Table{schema.Label, schema.Milestone} {
		if !slices.ContainsFunc(late, func(r schema.Row) bool { return r.Table == t }) {
			continue
		}
		if _, err := s.pool.Exec(ctx, `UPDATE pghub.sync_state SET cursor = cursor - 'pages' WHERE repository_id = $1 AND collection = $2`, repositoryID, t.Name); err != nil {
			return fmt.Errorf("asking for a fresh list of %s: %w", t.Name, err)
		}
	}
	return nil
}

// issueNumber is the number of an issue, or of the issue that a comment is on.
func issueNumber(row schema.Row) (int64, bool) {
	switch row.Table {
	case schema.Issue:
		return integer(row.Get("number"))
	case schema.IssueComment:
		return integer(row.Get("issue_number"))
	}
	return 0, false
}

func integer(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case int32:
		return int64(n), true
	case int:
		return int64(n), true
	}
	return 0, false
}

// remove deletes rows that GitHub certainly has no longer, with all that
// belongs to them. It returns false, having changed nothing, while a client's
// transaction holds one of the rows.
func (s *Syncer) remove(ctx context.Context, tx pgx.Tx, t *schema.Table, ids []int64) (bool, error) {
	err := schema.Delete(ctx, tx, t, ids)
	if errors.Is(err, schema.ErrLocked) {
		return false, nil
	}
	return err == nil, err
}

// inTx runs fn in a transaction, again if Postgres chose it as the victim of
// a deadlock or a serialization failure.
func inTx(ctx context.Context, pool *pgxpool.Pool, fn func(pgx.Tx) error) error {
	for try := 1; ; try++ {
		err := pgx.BeginFunc(ctx, pool, fn)
		var e *pgconn.PgError
		if err == nil || try == 5 || !errors.As(err, &e) || e.Code != "40P01" && e.Code != "40001" {
			return err
		}
		if err := wait(ctx, 20*time.Millisecond<<try); err != nil {
			return err
		}
	}
}

// wait lasts for d or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

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
	// comments are, by the number of each issue and pull request that the page
	// held, how many comments GitHub says it has; unsaid for those that the
	// page held comments of.
	comments map[int64]int64
	// late rows could not be merged because another transaction held them or
	// newer news of them; settle tries them once more after the commit.
	late []schema.Row
	// waiting counts the rows that became refetch jobs.
	waiting int
	// newest is the latest updated_at of all objects, dropped ones included.
	newest time.Time
}

// store merges a page into the mirror inside the caller's transaction. Rows
// that must wait are put into the queue in the same transaction.
func (s *Syncer) store(ctx context.Context, tx pgx.Tx, repositoryID int64, c *collection, p page) (stored, error) {
	out := stored{comments: map[int64]int64{}}
	var rows []schema.Row
	scope := schema.Scope{RepositoryID: repositoryID}
	for _, raw := range p.items {
		var o object
		if err := json.Unmarshal(raw, &o); err != nil {
			return out, fmt.Errorf("decoding an object of the %s list: %w", c.name, err)
		}
		if o.UpdatedAt.After(out.newest) {
			out.newest = o.UpdatedAt
		}
		if c == issue {
			out.comments[o.Number] = o.Comments
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
		if n, ok := issueNumber(own[len(own)-1]); ok && c == issueComment {
			out.comments[n] = unsaid
		}
	}
	var err error
	out.late, out.waiting, err = s.merge(ctx, tx, repositoryID, rows, p.fetchedAt)
	return out, err
}

// merge upserts rows. Of those that must wait, issues and comments become
// refetch jobs, which are counted; the others are returned.
func (s *Syncer) merge(ctx context.Context, tx pgx.Tx, repositoryID int64, rows []schema.Row, fetchedAt time.Time) (late []schema.Row, waiting int, err error) {
	if len(rows) == 0 {
		return nil, 0, nil
	}
	result, err := s.upsert(ctx, tx, repositoryID, rows, fetchedAt)
	if err != nil {
		return nil, 0, err
	}
	var jobs []refetchArgs
	for _, row := range result.Deferred {
		switch number, _ := issueNumber(row); {
		case row.Table == schema.Issue:
			jobs = append(jobs, refetchArgs{RepositoryID: repositoryID, Number: number})
		case row.Table == schema.IssueComment:
			id, _ := row.Get("id").(int64)
			jobs = append(jobs, refetchArgs{RepositoryID: repositoryID, Number: number, CommentID: id})
		default:
			late = append(late, row)
		}
	}
	return late, len(jobs), s.enqueueRefetches(ctx, tx, jobs)
}

// upsert is schema.Upsert, one at a time for each repository, and with the
// labels of issues as the label table has them.
func (s *Syncer) upsert(ctx context.Context, tx pgx.Tx, repositoryID int64, rows []schema.Row, fetchedAt time.Time) (schema.UpsertResult, error) {
	if err := inTurn(ctx, tx, repositoryID); err != nil {
		return schema.UpsertResult{}, err
	}
	result, err := schema.Upsert(ctx, tx, rows, fetchedAt)
	if err != nil {
		return result, fmt.Errorf("merging rows of repository %d: %w", repositoryID, err)
	}
	var issues []int64
	for _, row := range rows {
		if row.Table == schema.Issue {
			issues = append(issues, row.ID())
		}
	}
	return result, alignLabels(ctx, tx, issues)
}

// inTurn makes the syncer's transactions on one repository follow one another:
// what one of them renames or deletes, another must not bring back from a page
// that it fetched before. The lock ends with the transaction.
func inTurn(ctx context.Context, tx pgx.Tx, repositoryID int64) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(lockClass)<<32^repositoryID); err != nil {
		return fmt.Errorf("waiting for the turn on repository %d: %w", repositoryID, err)
	}
	return nil
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
			late, _, err = s.merge(ctx, tx, repositoryID, late, fetchedAt)
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
func (s *Syncer) remove(ctx context.Context, tx pgx.Tx, repositoryID int64, t *schema.Table, ids []int64) (bool, error) {
	if err := inTurn(ctx, tx, repositoryID); err != nil {
		return false, err
	}
	err := schema.Delete(ctx, tx, t, ids)
	if errors.Is(err, schema.ErrLocked) {
		return false, nil
	}
	return err == nil, err
}

// again are the SQLSTATEs after which a transaction is worth another try:
// deadlock, serialization failure, and a reference whose target another
// transaction deleted before ours was committed.
var again = map[string]bool{"40P01": true, "40001": true, "23503": true}

// inTx runs fn in a transaction, up to five times when others were in the way.
func inTx(ctx context.Context, pool *pgxpool.Pool, fn func(pgx.Tx) error) error {
	for try := 1; ; try++ {
		err := pgx.BeginFunc(ctx, pool, fn)
		var e *pgconn.PgError
		if err == nil || try == 5 || !errors.As(err, &e) || !again[e.Code] {
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

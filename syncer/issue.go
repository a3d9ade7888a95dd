package syncer

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/schema"
)

// issue: the list also holds pull requests, which are not issues here.
// Deletions and transfers never show in it; refetch finds them.
//
// The scan is by creation, so that objects made meanwhile come at its end; the
// polls are by change in ascending order, because in descending order an
// object that changes while we page moves in front of us and is missed.
//
// https://docs.github.com/en/rest/issues/issues#list-repository-issues
var issue = &collection{
	name:     "issue",
	table:    schema.Issue,
	path:     "issues",
	scan:     query("state", "all", "sort", "created", "direction", "asc"),
	newest:   query("state", "all", "sort", "updated", "direction", "desc", "per_page", "1"),
	changes:  query("state", "all", "sort", "updated", "direction", "asc"),
	priority: 2,
	numbered: true,
}

// commentsOf lists the comments of one issue.
func commentsOf(ctx context.Context, tx pgx.Tx, issueID int64) ([]int64, error) {
	rows, err := tx.Query(ctx, `SELECT id FROM github.issue_comment WHERE issue_id = $1`, issueID)
	if err != nil {
		return nil, fmt.Errorf("listing the comments of issue %d: %w", issueID, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("listing the comments of issue %d: %w", issueID, err)
	}
	return ids, nil
}

// forgetTombstones takes back the tombstones of comments that left with a
// transferred issue: should GitHub keep their ids, they arrive again in the
// other repository.
func forgetTombstones(ctx context.Context, tx pgx.Tx, comments []int64) error {
	if len(comments) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, `DELETE FROM pghub.tombstone WHERE table_name = 'issue_comment' AND id = ANY ($1)`, comments); err != nil {
		return fmt.Errorf("keeping the comments of a transferred issue out of the tombstones: %w", err)
	}
	return nil
}

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

// removeIssue deletes an issue that GitHub deleted or that was transferred,
// with its comments, which went with it. It does nothing while a client's
// transaction holds one of the rows.
func removeIssue(ctx context.Context, tx pgx.Tx, repositoryID, id int64) (removal, error) {
	free, err := lockRows(ctx, tx,
		`SELECT id FROM github.issue WHERE id = $1`, `SELECT id FROM github.issue WHERE id = $1 FOR UPDATE SKIP LOCKED`, id)
	if err != nil {
		return removal{}, fmt.Errorf("locking issue %d: %w", id, err)
	}
	if free == nil {
		return removal{}, nil
	}
	comments, err := lockRows(ctx, tx,
		`SELECT id FROM github.issue_comment WHERE issue_id = $1`,
		`SELECT id FROM github.issue_comment WHERE issue_id = $1 ORDER BY id FOR UPDATE SKIP LOCKED`, id)
	if err != nil {
		return removal{}, fmt.Errorf("locking the comments of issue %d: %w", id, err)
	}
	if comments == nil {
		return removal{}, nil
	}
	if len(comments) > 0 {
		if err := schema.Delete(ctx, tx, schema.IssueComment, comments); err != nil {
			return removal{}, err
		}
	}
	if err := schema.Delete(ctx, tx, schema.Issue, []int64{id}); err != nil {
		return removal{}, err
	}
	return removal{done: true}, nil
}

package syncer

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/schema"
)

// issueComment: all conversation comments of a repository in one list, those
// of pull requests among them (their issue_id is null). A comment names its
// issue by number only, so issues are read first. Deletions do not show;
// they are noticed by the issue's own count of comments.
//
// https://docs.github.com/en/rest/issues/comments#list-issue-comments-for-a-repository
var issueComment = &collection{
	name:     "issue_comment",
	table:    schema.IssueComment,
	path:     "issues/comments",
	scan:     query("sort", "created", "direction", "asc"),
	newest:   query("sort", "updated", "direction", "desc", "per_page", "1"),
	changes:  query("sort", "updated", "direction", "asc"),
	after:    "issue",
	priority: 3,
	key:      "id",
	single:   func(id string) string { return "issues/comments/" + id },
}

// miscounted finds issues whose own count of comments differs from the number
// of their comments in the mirror: a comment was deleted, or one slipped
// through while the list moved. Without numbers the whole repository is
// looked at.
func miscounted(ctx context.Context, tx pgx.Tx, repositoryID int64, numbers []int64) ([]int64, error) {
	rows, err := tx.Query(ctx, `
SELECT i.number
  FROM github.issue i
  LEFT JOIN LATERAL (SELECT count(*) AS n FROM github.issue_comment c WHERE c.issue_id = i.id) c ON true
 WHERE i.repository_id = $1 AND ($2::bigint[] IS NULL OR i.number = ANY ($2)) AND i.comments <> c.n
 ORDER BY i.number
 LIMIT 1000`, repositoryID, numbers)
	if err != nil {
		return nil, fmt.Errorf("comparing comment counts of repository %d: %w", repositoryID, err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("comparing comment counts of repository %d: %w", repositoryID, err)
	}
	return found, nil
}

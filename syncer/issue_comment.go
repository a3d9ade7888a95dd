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
// GitHub pages this list by number: when a comment is deleted while we page,
// the rest moves up and one is jumped over at the edge of the page. So the
// first scan is by change as well and goes on by time, like the polls.
//
// https://docs.github.com/en/rest/issues/comments#list-issue-comments-for-a-repository
var issueComment = &collection{
	name:     "issue_comment",
	table:    schema.IssueComment,
	path:     "issues/comments",
	scan:     query("sort", "updated", "direction", "asc"),
	newest:   query("sort", "updated", "direction", "desc", "per_page", "1"),
	changes:  query("sort", "updated", "direction", "asc"),
	byTime:   true,
	after:    "issue",
	priority: 3,
	key:      "id",
	single:   func(id string) string { return "issues/comments/" + id },
}

// unsaid stands for a number of comments that GitHub has not said.
const unsaid = -1

// miscounted finds the issues and pull requests, among those given with the
// number of comments that GitHub says they have, whose comments in the mirror
// are others: one was deleted, or one slipped through while the list moved.
// It also finds comments whose issue is not in the mirror.
func miscounted(ctx context.Context, db querier, repositoryID int64, said map[int64]int64) ([]int64, error) {
	numbers, counts := make([]int64, 0, len(said)), make([]int64, 0, len(said))
	for number, count := range said {
		numbers, counts = append(numbers, number), append(counts, count)
	}
	return numbersFrom(ctx, db, `
SELECT s.number
  FROM unnest($2::bigint[], $3::bigint[]) AS s (number, said)
  LEFT JOIN github.issue i ON i.repository_id = $1 AND i.number = s.number
 CROSS JOIN LATERAL (
       SELECT count(*) AS n, count(*) FILTER (WHERE c.issue_id IS NULL AND c.html_url LIKE '%/issues/%') AS stray
         FROM github.issue_comment c WHERE c.repository_id = $1 AND c.issue_number = s.number) c
 WHERE c.stray > 0 OR coalesce(nullif(s.said, $4), i.comments, c.n) <> c.n
 ORDER BY s.number`, repositoryID, numbers, counts, unsaid)
}

// miscountedAnywhere is miscounted for all issues of a repository.
func miscountedAnywhere(ctx context.Context, db querier, repositoryID int64) ([]int64, error) {
	return numbersFrom(ctx, db, `
SELECT i.number
  FROM github.issue i
  LEFT JOIN (SELECT issue_id, count(*) AS n FROM github.issue_comment WHERE repository_id = $1 GROUP BY issue_id) c ON c.issue_id = i.id
 WHERE i.repository_id = $1 AND i.comments <> coalesce(c.n, 0)
 UNION
SELECT issue_number FROM github.issue_comment WHERE repository_id = $1 AND issue_id IS NULL AND html_url LIKE '%/issues/%'
 ORDER BY 1`, repositoryID)
}

func numbersFrom(ctx context.Context, db querier, sql string, args ...any) ([]int64, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("comparing counts of comments: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("comparing counts of comments: %w", err)
	}
	return found, nil
}

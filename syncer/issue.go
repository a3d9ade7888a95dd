package syncer

import "github.com/pghub/pghub/schema"

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

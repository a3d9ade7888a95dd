package syncer

import (
	"context"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/schema"
)

// label: a short list without timestamps or an order of change, so each poll
// reads the whole list, conditionally. Renaming or deleting a label does not
// touch the updated_at of its issues; the mirror's issues follow the label.
//
// https://docs.github.com/en/rest/issues/labels#list-labels-for-a-repository
var label = &collection{
	name:     "label",
	table:    schema.Label,
	path:     "labels",
	scan:     query(),
	priority: 1,
	key:      "name",
	single:   func(name string) string { return "labels/" + url.PathEscape(name) },
	remove:   removeLabel,
}

const issuesOfLabel = `
SELECT i.id, i.number
  FROM github.issue i
 WHERE i.repository_id = $1
   AND i.payload @> jsonb_build_object('labels', jsonb_build_array(jsonb_build_object('id', $2::bigint)))`

// dropLabel goes by the label's id in the payload, not by its name: a label
// of the same name may have been made since, and put on the issue.
const dropLabel = `
UPDATE github.issue i
   SET payload = jsonb_set(i.payload, '{labels}', l.kept),
       labels = l.names,
       synced_at = clock_timestamp()
  FROM github.issue o,
       LATERAL (SELECT coalesce(jsonb_agg(e ORDER BY n), '[]') AS kept,
                       coalesce(array_agg(e ->> 'name' ORDER BY n), '{}') AS names
                  FROM jsonb_array_elements(o.payload -> 'labels') WITH ORDINALITY AS x (e, n)
                 WHERE e -> 'id' IS DISTINCT FROM to_jsonb($2::bigint)) l
 WHERE o.id = i.id AND i.id = ANY ($1)`

// removeLabel takes a label that GitHub deleted out of the mirror: GitHub
// shows its issues without it from then on. Issues that a client's
// transaction holds are left to a refetch.
func removeLabel(ctx context.Context, tx pgx.Tx, repositoryID, id int64) (removal, error) {
	all, err := tx.Query(ctx, issuesOfLabel, repositoryID, id)
	if err != nil {
		return removal{}, fmt.Errorf("finding the issues of label %d: %w", id, err)
	}
	numbers := map[int64]int64{}
	var issueID, number int64
	if _, err := pgx.ForEachRow(all, []any{&issueID, &number}, func() error {
		numbers[issueID] = number
		return nil
	}); err != nil {
		return removal{}, fmt.Errorf("finding the issues of label %d: %w", id, err)
	}
	free, err := tx.Query(ctx, issuesOfLabel+" ORDER BY i.id FOR UPDATE SKIP LOCKED", repositoryID, id)
	if err != nil {
		return removal{}, fmt.Errorf("locking the issues of label %d: %w", id, err)
	}
	var ids []int64
	if _, err := pgx.ForEachRow(free, []any{&issueID, &number}, func() error {
		ids = append(ids, issueID)
		delete(numbers, issueID)
		return nil
	}); err != nil {
		return removal{}, fmt.Errorf("locking the issues of label %d: %w", id, err)
	}
	if _, err := tx.Exec(ctx, dropLabel, ids, id); err != nil {
		return removal{}, fmt.Errorf("taking label %d off its issues: %w", id, err)
	}
	if err := schema.Delete(ctx, tx, schema.Label, []int64{id}); err != nil {
		return removal{}, err
	}
	r := removal{done: true}
	for _, n := range numbers {
		r.refetch = append(r.refetch, n)
	}
	return r, nil
}

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
// touch the updated_at of its issues; schema makes the mirror's issues follow.
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
}

// alignLabels gives issues that were just stored the labels' present names, and
// takes deleted labels off them. A page of issues that was fetched before a
// rename or a deletion may be stored after it, and nothing would correct it
// later: neither touches the issues' updated_at.
func alignLabels(ctx context.Context, tx pgx.Tx, issues []int64) error {
	if len(issues) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `
WITH entry AS MATERIALIZED (
    SELECT i.id, e.object, e.place, l.name,
           EXISTS (SELECT FROM pghub.tombstone t WHERE t.table_name = 'label' AND t.id = (e.object ->> 'id')::bigint) AS gone
      FROM github.issue i
     CROSS JOIN LATERAL jsonb_array_elements(i.payload -> 'labels') WITH ORDINALITY e (object, place)
      LEFT JOIN github.label l ON l.id = (e.object ->> 'id')::bigint
     WHERE i.id = ANY ($1)
), off AS MATERIALIZED (
    SELECT i.id FROM github.issue i
     WHERE i.id IN (SELECT id FROM entry WHERE gone OR name <> object ->> 'name')
     ORDER BY i.id FOR NO KEY UPDATE SKIP LOCKED
), fresh AS (
    SELECT id,
           coalesce(array_agg(coalesce(name, object ->> 'name') ORDER BY place) FILTER (WHERE NOT gone), '{}') AS names,
           coalesce(jsonb_agg(CASE WHEN name IS NULL THEN object ELSE object || jsonb_build_object('name', name) END ORDER BY place)
                    FILTER (WHERE NOT gone), '[]') AS objects
      FROM entry WHERE id IN (SELECT id FROM off) GROUP BY id
)
UPDATE github.issue i
   SET labels = f.names, payload = jsonb_set(i.payload, '{labels}', f.objects), synced_at = clock_timestamp()
  FROM fresh f WHERE f.id = i.id`, issues)
	if err != nil {
		return fmt.Errorf("giving issues the present names of their labels: %w", err)
	}
	return nil
}

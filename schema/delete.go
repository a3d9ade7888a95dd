package schema

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ErrLocked is returned (wrapped) by Delete when another transaction holds one of the rows. Nothing was changed and the
// transaction is still good; try again a little later.
var ErrLocked = errors.New("another transaction holds the row")

// Delete removes rows that GitHub no longer has, and leaves tombstones for their ids, known or not, so that a late answer
// does not revive them. What belongs to a row goes with it (an issue's comments, all of a repository); other references to
// it become NULL, and its name leaves the issues' arrays of labels or assignees. It never waits for a client: see ErrLocked.
func Delete(ctx context.Context, tx pgx.Tx, t *Table, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	if err := setOrigin(ctx, tx); err != nil {
		return err
	}
	plan, err := removalOf(ctx, tx, t, ids)
	if err != nil {
		return err
	}
	for i := len(Tables) - 1; i >= 0; i-- {
		gone := Tables[i]
		if len(plan[gone]) == 0 {
			continue
		}
		if err := detach(ctx, tx, gone, plan); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO pghub.tombstone (table_name, id) SELECT $1, unnest($2::bigint[]) ON CONFLICT DO NOTHING`,
			gone.Name, plan[gone]); err != nil {
			return fmt.Errorf("remembering deleted rows of %s: %w", gone.Name, err)
		}
		if _, err := tx.Exec(ctx, `DELETE FROM `+gone.stored()+` WHERE id = ANY ($1)`, plan[gone]); err != nil {
			return fmt.Errorf("deleting rows of %s: %w", gone.Name, err)
		}
	}
	return nil
}

// removalOf collects the rows that go, and locks every row that goes or loses a reference.
func removalOf(ctx context.Context, tx pgx.Tx, t *Table, ids []int64) (map[*Table][]int64, error) {
	plan := map[*Table][]int64{t: ids}
	for _, child := range Tables { // in the order of references: what a table owns is known before what its rows own
		var owned []string
		var lists [][]int64
		for _, c := range child.Columns {
			parent, _, _ := strings.Cut(c.References, ".")
			if c.Owned && len(plan[ByName(parent)]) > 0 {
				lists = append(lists, plan[ByName(parent)])
				owned = append(owned, fmt.Sprintf("%s = ANY ($%d)", quote(c.Name), len(lists)))
			}
		}
		if len(owned) == 0 {
			continue
		}
		args := make([]any, len(lists))
		for i, list := range lists {
			args[i] = list
		}
		rows, err := tx.Query(ctx, `SELECT id FROM `+child.stored()+` WHERE `+strings.Join(owned, " OR "), args...)
		if err != nil {
			return nil, fmt.Errorf("looking for rows of %s that go too: %w", child.Name, err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return nil, fmt.Errorf("looking for rows of %s that go too: %w", child.Name, err)
		}
		plan[child] = append(plan[child], found...)
	}
	for _, table := range Tables {
		if list := plan[table]; len(list) > 0 {
			if err := lock(ctx, tx, table, "id = ANY ($1)", list); err != nil {
				return nil, err
			}
		}
		for _, c := range table.Columns {
			parent, _, _ := strings.Cut(c.References, ".")
			if list := plan[ByName(parent)]; !c.Owned && len(list) > 0 {
				if err := lock(ctx, tx, table, quote(c.Name)+" = ANY ($1)", list); err != nil {
					return nil, err
				}
			}
		}
		if list := plan[table]; table.rename != nil && len(list) > 0 {
			if err := lock(ctx, tx, Issue, carries(table), list); err != nil {
				return nil, err
			}
		}
	}
	return plan, nil
}

// lock locks the rows that a condition on $1 selects, or fails with ErrLocked without having waited.
func lock(ctx context.Context, tx pgx.Tx, t *Table, condition string, ids []int64) error {
	var all, free int64
	err := tx.QueryRow(ctx, fmt.Sprintf(`
		WITH free AS MATERIALIZED (SELECT id FROM %[1]s WHERE %[2]s FOR UPDATE SKIP LOCKED)
		SELECT (SELECT count(*) FROM %[1]s WHERE %[2]s), (SELECT count(*) FROM free)`, t.stored(), condition), ids).Scan(&all, &free)
	if err != nil {
		return fmt.Errorf("locking rows of %s: %w", t.Name, err)
	}
	if free < all {
		return fmt.Errorf("deleting: %d of %d rows of %s: %w", all-free, all, t.Name, ErrLocked)
	}
	return nil
}

// carries is the condition on an issue that it names one of the rows $1 of a label-like table.
func carries(t *Table) string {
	name, array := quote(t.rename.column), quote(t.rename.array)
	sameRepository := ""
	if t.rename.perRepository {
		sameRepository = " AND issue.repository_id = r.repository_id"
	}
	return fmt.Sprintf(`EXISTS (SELECT FROM %s r WHERE r.id = ANY ($1) AND issue.%s @> ARRAY[r.%s]%s
		AND issue.payload->'%s' @> jsonb_build_array(jsonb_build_object('id', r.id)))`, t.stored(), array, name, sameRepository, t.rename.array)
}

// detach takes the rows that go out of the rows that stay.
func detach(ctx context.Context, tx pgx.Tx, gone *Table, plan map[*Table][]int64) error {
	for _, table := range Tables {
		for _, c := range table.Columns {
			if parent, _, _ := strings.Cut(c.References, "."); parent != gone.Name || c.Owned {
				continue
			}
			sets := quote(c.Name) + " = NULL, synced_at = clock_timestamp()"
			if nested := strings.Contains(c.Path, "."); nested {
				sets += fmt.Sprintf(", payload = jsonb_set(payload, '{%s}', 'null')", c.field())
			}
			if _, err := tx.Exec(ctx, fmt.Sprintf(`UPDATE %s SET %s WHERE %s = ANY ($1)`, table.stored(), sets, quote(c.Name)), plan[gone]); err != nil {
				return fmt.Errorf("clearing %s.%s: %w", table.Name, c.Name, err)
			}
		}
	}
	if gone.rename == nil {
		return nil
	}
	r := gone.rename
	_, err := tx.Exec(ctx, fmt.Sprintf(`
		UPDATE github.issue SET %[1]s = n.names, payload = jsonb_set(issue.payload, '{%[2]s}', n.objects), synced_at = clock_timestamp()
		FROM (SELECT issue.id,
		             coalesce(array_agg(o.object->>'%[3]s' ORDER BY o.place) FILTER (WHERE o.kept), '{}') AS names,
		             coalesce(jsonb_agg(o.object ORDER BY o.place) FILTER (WHERE o.kept), '[]') AS objects
		      FROM github.issue CROSS JOIN LATERAL (
		           SELECT e.object, e.place, ((e.object->>'id')::bigint = ANY ($1)) IS NOT TRUE AS kept
		           FROM jsonb_array_elements(issue.payload->'%[2]s') WITH ORDINALITY e (object, place)) o
		      WHERE %[4]s
		      GROUP BY issue.id) n
		WHERE issue.id = n.id`, quote(r.array), r.array, r.column, carries(gone)), plan[gone])
	if err != nil {
		return fmt.Errorf("taking deleted rows of %s out of the issues: %w", gone.Name, err)
	}
	return nil
}

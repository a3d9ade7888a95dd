package schema

import "fmt"

// rename says that issues carry a name of this table's rows in an array: label names, logins of assignees. GitHub renames
// without touching the issues' updated_at, so nothing else would bring the new name.
type rename struct {
	column string // the name: label.name, account.login
	array  string // issue's array of names, and the field of its payload that lists the objects
	// perRepository limits the search to issues of the row's repository.
	perRepository bool
}

// renames gives the statements that run between judging and storing. The first finds the issues to be changed, and
// defers a rename when another transaction holds one of them, so that a name and its issues change together. The second
// changes them: the objects in the payload tell by id which entry is meant, so that two labels may swap their names. An
// issue changed so counts as synced when the new name was fetched: no answer from before then may bring the old name back,
// and the answer that brought both may still store the issue.
func (t *Table) renames() (hold, change string) {
	r := t.rename
	name, array := quote(r.column), quote(r.array)
	sameRepository := ""
	if r.perRepository {
		sameRepository = " AND x.repository_id = r.repository_id"
	}
	renamed := fmt.Sprintf(`renamed AS MATERIALIZED (
	SELECT m.*, v.ord, i.payload AS fresh
	FROM %[3]s v JOIN %[1]s i ON i.ord = v.ord JOIN %[2]s m ON m.id = i.id
	WHERE v.what = 'u' AND i.%[4]s <> m.%[4]s
), hit AS MATERIALIZED (
	SELECT r.ord, x.id FROM renamed r JOIN github.issue x ON x.%[5]s @> ARRAY[r.%[4]s]%[6]s
	WHERE x.payload->'%[7]s' @> jsonb_build_array(jsonb_build_object('id', r.id))
)`, t.staged(), t.stored(), t.verdicts(), name, array, sameRepository, r.array)

	hold = fmt.Sprintf(`
WITH %s, free AS MATERIALIZED (
	SELECT x.id FROM github.issue x WHERE x.id IN (SELECT id FROM hit) ORDER BY x.id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE %s v SET what = 'd'
FROM hit h WHERE h.ord = v.ord AND h.id NOT IN (SELECT id FROM free)`, renamed, t.verdicts())

	change = fmt.Sprintf(`
WITH %[1]s
UPDATE github.issue x SET %[2]s = n.names, payload = jsonb_set(x.payload, '{%[3]s}', n.objects),
       synced_at = greatest(x.synced_at, $1::timestamptz - interval '1 microsecond')
FROM (SELECT x.id, array_agg(e.object->>'%[4]s' ORDER BY e.place) AS names, jsonb_agg(e.object ORDER BY e.place) AS objects
      FROM github.issue x CROSS JOIN LATERAL (
           SELECT o.place, CASE WHEN r.id IS NULL THEN o.object ELSE
                  (SELECT jsonb_object_agg(f.key, coalesce(r.fresh->f.key, f.value)) FROM jsonb_each(o.object) f) END AS object
           FROM jsonb_array_elements(x.payload->'%[3]s') WITH ORDINALITY o (object, place)
           LEFT JOIN renamed r ON o.object @> jsonb_build_object('id', r.id)) e
      WHERE x.id IN (SELECT id FROM hit)
      GROUP BY x.id) n
WHERE x.id = n.id`, renamed, array, r.array, r.column)
	return hold, change
}

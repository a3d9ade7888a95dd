package schema

import (
	"fmt"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Staging: each session has, for each table it ever stored into, a temporary table of the same columns, and one of
// verdicts on its rows. They are made once and emptied at each commit, because making tables for each page would swell
// the catalog. In the statements below, i is the incoming row and m the one in the mirror.

func stagedName(t *Table) string { return "pghub_in_" + t.Name }

func (t *Table) staged() string { return pgx.Identifier{"pg_temp", stagedName(t)}.Sanitize() }
func (t *Table) verdicts() string {
	return pgx.Identifier{"pg_temp", "pghub_verdict_" + t.Name}.Sanitize()
}
func (t *Table) stored() string      { return pgx.Identifier{Name, t.Name}.Sanitize() }
func quote(identifier string) string { return pgx.Identifier{identifier}.Sanitize() }

// staging makes both tables, empty.
func (t *Table) staging() string {
	var columns strings.Builder
	for _, c := range t.Columns {
		fmt.Fprintf(&columns, ", %s %s", quote(c.Name), c.Type)
	}
	return fmt.Sprintf(`
		CREATE TEMPORARY TABLE IF NOT EXISTS %[1]s (ord int NOT NULL, known bytea%[3]s) ON COMMIT DELETE ROWS;
		CREATE TEMPORARY TABLE IF NOT EXISTS %[2]s (ord int NOT NULL, what "char" NOT NULL) ON COMMIT DELETE ROWS;
		DELETE FROM %[1]s;
		DELETE FROM %[2]s`, t.staged(), t.verdicts(), columns.String())
}

// statements are the SQL of one merge; they depend on which columns all, some or none of the rows know.
type statements struct {
	judge, holdRenames, rename, apply string
}

var statementCache sync.Map // of signature to *statements

func (b *batch) statements() *statements {
	signature := make([]byte, 0, len(b.known)+len(b.table.Name))
	signature = append(signature, b.table.Name...)
	for i := range b.known {
		signature = append(signature, '0'+byte(b.share(i)))
	}
	if s, ok := statementCache.Load(string(signature)); ok {
		return s.(*statements)
	}
	s := &statements{judge: b.judge(), apply: b.apply()}
	if b.table.rename != nil {
		s.holdRenames, s.rename = b.table.renames()
	}
	statementCache.Store(string(signature), s)
	return s
}

// share says how many rows know a column.
type share int

const (
	none share = iota
	some
	all
)

func (b *batch) share(i int) share {
	switch {
	case b.table.Columns[i].resolve != "" || b.known[i] == len(b.rows):
		return all
	case b.known[i] == 0:
		return none
	}
	return some
}

// incoming is the value that a column of a stored row gets: the row's own where nothing new is known.
func (b *batch) incoming(i int) string {
	c := &b.table.Columns[i]
	name := quote(c.Name)
	switch {
	case c.Name == "payload":
		return "m.payload || i.payload"
	case c.Name == "synced_at":
		return "clock_timestamp()"
	case c.resolve != "":
		return c.resolve
	case b.share(i) == all:
		return "i." + name
	case b.share(i) == none:
		return "m." + name
	}
	return fmt.Sprintf("CASE WHEN coalesce(get_bit(i.known, %d), 1) = 1 THEN i.%s ELSE m.%s END", i, name, name)
}

// judge decides on every incoming row that is not plainly older or the same: i insert, u update, d defer. Stored rows that
// are to be updated are locked, those that somebody else holds are passed over.
func (b *batch) judge() string {
	t := b.table
	tie, newer := "$1 > m.synced_at", "false"
	if t.Version != "" {
		version := b.incoming(t.Position(t.Version))
		tie = fmt.Sprintf("((%s) = m.%s) IS NOT FALSE AND $1 > m.synced_at", version, quote(t.Version))
		newer = fmt.Sprintf("((%s) > m.%s) IS TRUE", version, quote(t.Version))
	}
	// What may change at all: for versioned tables whatever is not older, so that an undecidable tie can be deferred.
	possible := tie
	if t.Version != "" {
		possible = fmt.Sprintf("((%s) < m.%s) IS NOT TRUE", b.incoming(t.Position(t.Version)), quote(t.Version))
	}
	target, free := b.target()
	return fmt.Sprintf(`
WITH seen AS MATERIALIZED (
	SELECT i.ord, i.id, m.id IS NULL AS missing, %[11]s AS target, (%[3]s) AND (m.id IS NOT NULL OR (%[4]s)) AS storable
	FROM %[1]s i LEFT JOIN %[2]s m ON m.id = i.id
	WHERE NOT EXISTS (SELECT FROM pghub.tombstone t WHERE t.table_name = '%[5]s' AND t.id = i.id)
	  AND (m.id IS NULL OR (%[6]s) AND (%[7]s))
), free AS MATERIALIZED (%[12]s), sound AS MATERIALIZED (
	SELECT s.ord, s.missing, s.storable AND (s.target IS NULL OR s.target IN (SELECT f.id FROM free f)) AS storable FROM seen s
), mine AS MATERIALIZED (
	SELECT s.ord FROM sound s JOIN %[1]s i ON i.ord = s.ord JOIN %[2]s m ON m.id = i.id
	WHERE s.storable AND NOT s.missing AND (%[8]s OR %[9]s)
	ORDER BY m.id FOR NO KEY UPDATE OF m SKIP LOCKED
)
INSERT INTO %[10]s (ord, what)
SELECT s.ord, CASE WHEN s.storable AND s.missing THEN 'i' WHEN s.ord IN (SELECT ord FROM mine) THEN 'u' ELSE 'd' END FROM sound s`,
		t.staged(), t.stored(), b.referencesExist(), b.insertable(), t.Name, possible, b.differs(), newer, tie, t.verdicts(), target, free)
}

// target gives the row of a writable table that an incoming row refers to, and a query that locks all such rows as the
// foreign key will at the end of the transaction. A client that is deleting or has locked its issue would make our COMMIT
// wait for its own: such rows are passed over, and what refers to them is deferred.
func (b *batch) target() (expression, free string) {
	for _, c := range b.table.Columns {
		table, key, _ := strings.Cut(c.References, ".")
		if c.resolve == "" || len(ByName(table).Writable()) == 0 {
			continue
		}
		return c.resolve, fmt.Sprintf(`SELECT x.%[1]s AS id FROM %[2]s x WHERE x.%[1]s IN (SELECT target FROM seen) ORDER BY x.%[1]s FOR KEY SHARE SKIP LOCKED`,
			quote(key), ByName(table).stored())
	}
	return "NULL::bigint", "SELECT NULL::bigint AS id"
}

// differs compares what the incoming row knows with the stored row; the columns first, because they are cheaper.
func (b *batch) differs() string {
	var old, fresh []string
	for i, c := range b.table.Columns {
		if b.share(i) != none && c.Name != "synced_at" && c.Name != "payload" {
			old, fresh = append(old, "m."+quote(c.Name)), append(fresh, b.incoming(i))
		}
	}
	return fmt.Sprintf("(%s) IS DISTINCT FROM (%s) OR m.payload || i.payload IS DISTINCT FROM m.payload",
		strings.Join(old, ", "), strings.Join(fresh, ", "))
}

// referencesExist keeps the deferred foreign keys from failing the whole transaction at its end.
func (b *batch) referencesExist() string {
	conditions := []string{"true"}
	for i, c := range b.table.Columns {
		if c.References == "" || c.resolve != "" || b.share(i) == none {
			continue
		}
		target, key, _ := strings.Cut(c.References, ".")
		name := quote(c.Name)
		conditions = append(conditions, fmt.Sprintf("(i.%s IS NULL OR EXISTS (SELECT FROM %s r WHERE r.%s = i.%s))",
			name, pgx.Identifier{Name, target}.Sanitize(), quote(key), name))
	}
	return strings.Join(conditions, " AND ")
}

// insertable says that a row the mirror does not have may be inserted: nothing required is unknown, and no client is just
// creating it.
func (b *batch) insertable() string {
	conditions := []string{"true"}
	for i, c := range b.table.Columns {
		if c.NotNull && c.Default == "" && c.Name != "synced_at" {
			switch b.share(i) {
			case none:
				return "false"
			case some:
				conditions = append(conditions, "i."+quote(c.Name)+" IS NOT NULL")
			}
		}
	}
	if b.table.Column("repository_id") != nil {
		conditions = append(conditions, fmt.Sprintf(`NOT EXISTS (SELECT FROM pghub.open_create o
		WHERE o.table_name = '%s' AND o.repository_id = i.repository_id AND (o.row_id IS NULL OR o.row_id = i.id))`, b.table.Name))
	}
	return strings.Join(conditions, " AND ")
}

// apply stores what was judged storable, and returns the number of changed rows and the rows to defer. Inserts go in the
// order of ids, so that two sessions with the same new accounts wait for each other instead of deadlocking.
func (b *batch) apply() string {
	t := b.table
	var sets, columns, values []string
	for i, c := range t.Columns {
		name := quote(c.Name)
		if b.share(i) != none && c.Name != "id" {
			sets = append(sets, name+" = "+b.incoming(i))
		}
		switch {
		case c.Name == "synced_at":
			columns, values = append(columns, name), append(values, "clock_timestamp()")
		case c.resolve != "":
			columns, values = append(columns, name), append(values, c.resolve)
		case b.share(i) == none:
			// The column's default.
		case c.NotNull && c.Default != "":
			columns, values = append(columns, name), append(values, "coalesce(i."+name+", "+c.Default+")")
		default:
			columns, values = append(columns, name), append(values, "i."+name)
		}
	}
	// A row without version that somebody else inserted meanwhile is as good as ours.
	lost := ""
	if t.Version == "" {
		lost = " AND v.what <> 'i'"
	}
	return fmt.Sprintf(`
WITH updated AS (
	UPDATE %[2]s m SET %[4]s
	FROM %[1]s i JOIN %[3]s v ON v.ord = i.ord WHERE v.what = 'u' AND m.id = i.id
	RETURNING m.id
), added AS (
	INSERT INTO %[2]s (%[5]s)
	SELECT %[6]s FROM %[1]s i JOIN %[3]s v ON v.ord = i.ord WHERE v.what = 'i' ORDER BY i.id
	ON CONFLICT DO NOTHING
	RETURNING id
), done AS MATERIALIZED (SELECT id FROM updated UNION ALL SELECT id FROM added)
SELECT (SELECT count(*) FROM done),
       ARRAY(SELECT v.ord FROM %[3]s v JOIN %[1]s i ON i.ord = v.ord
             WHERE i.id NOT IN (SELECT id FROM done)%[7]s ORDER BY v.ord)`,
		t.staged(), t.stored(), t.verdicts(), strings.Join(sets, ", "), strings.Join(columns, ", "), strings.Join(values, ", "), lost)
}

// linkComments gives comments that came before their issue the issue's id.
var linkComments = fmt.Sprintf(`
UPDATE github.issue_comment c SET issue_id = f.issue_id
FROM (SELECT c.id, x.id AS issue_id
      FROM %s v JOIN %s i ON i.ord = v.ord JOIN github.issue x ON x.id = i.id
      JOIN github.issue_comment c ON c.repository_id = x.repository_id AND c.issue_number = x.number
      WHERE v.what = 'i' AND c.issue_id IS NULL
      ORDER BY c.id FOR NO KEY UPDATE OF c SKIP LOCKED) f
WHERE c.id = f.id`, Issue.verdicts(), Issue.staged())

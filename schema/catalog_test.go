package schema_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/schema"
)

// TestCatalogEqualsDescription reads the tables as the migrations made them and compares every column with its Go description.
func TestCatalogEqualsDescription(t *testing.T) {
	t.Parallel()
	_, pool, _ := migrated(t)

	const columns = `
		SELECT c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
		       || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
		       || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '')
		       || coalesce(' REFERENCES ' || f.target, '')
		       || coalesce(' -- ' || col_description(c.oid, a.attnum), ' (no comment)')
		FROM pg_class c
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
		LEFT JOIN LATERAL (
			SELECT string_agg(x.confrelid::regclass || '.' || fa.attname
			       || CASE WHEN x.condeferrable AND x.condeferred THEN '' ELSE ' not deferred' END
			       || CASE WHEN x.confdeltype = 'a' AND x.confupdtype = 'a' THEN '' ELSE ' with an action' END, ', ') AS target
			FROM pg_constraint x JOIN pg_attribute fa ON fa.attrelid = x.confrelid AND fa.attnum = x.confkey[1]
			WHERE x.conrelid = c.oid AND x.contype = 'f' AND x.conkey = ARRAY[a.attnum]) f ON true
		WHERE c.relnamespace = 'github'::regnamespace AND c.relkind = 'r'`
	got := query(t, pool, columns)

	var want, comments []string
	for _, table := range schema.Tables {
		comments = append(comments, table.Name+" -- "+table.Comment)
		for _, c := range table.Columns {
			line := fmt.Sprintf("%s.%s %s", table.Name, c.Name, c.Type)
			if c.NotNull {
				line += " NOT NULL"
			}
			if c.Default != "" {
				line += " DEFAULT " + c.Default
			}
			if c.References != "" {
				line += " REFERENCES github." + c.References
			}
			want = append(want, line+" -- "+c.Comment)
		}
	}
	compare(t, got, want)
	compare(t, query(t, pool, `SELECT relname || ' -- ' || coalesce(obj_description(oid, 'pg_class'), '(no comment)')
		FROM pg_class WHERE relnamespace = 'github'::regnamespace AND relkind = 'r'`), comments)

	// Whatever the other migrations add to the two schemas must be explained and owned as well; River's tables have no comments.
	compare(t, query(t, pool, `
		SELECT c.oid::regclass || coalesce('.' || a.attname, '') FROM pg_class c
		LEFT JOIN LATERAL (SELECT attname, attnum FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
		                   UNION ALL SELECT NULL, 0) a ON true
		WHERE c.relnamespace IN ('github'::regnamespace, 'pghub'::regnamespace) AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
		  AND c.relname !~ '^(river_|goose_)'
		  AND coalesce(CASE WHEN a.attnum = 0 THEN obj_description(c.oid, 'pg_class') ELSE col_description(c.oid, a.attnum) END, '') = ''`), nil)
	compare(t, query(t, pool, `
		SELECT 'relation ' || oid::regclass FROM pg_class
		WHERE relnamespace IN ('github'::regnamespace, 'pghub'::regnamespace) AND relowner <> 'pghub_sync'::regrole
		UNION ALL SELECT 'function ' || oid::regprocedure FROM pg_proc
		WHERE pronamespace IN ('github'::regnamespace, 'pghub'::regnamespace) AND proowner <> 'pghub_sync'::regrole
		UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname IN ('github', 'pghub') AND nspowner <> 'pghub_sync'::regrole`), nil)

	if n := query(t, pool, `SELECT relname::text FROM pg_class WHERE relnamespace = 'pghub'::regnamespace AND relname = 'river_job'`); len(n) != 1 {
		t.Errorf("the job queue's tables are not in schema pghub")
	}
}

// TestForeignKeysHaveIndexes keeps deletes and joins from scanning: every referencing column leads an index.
func TestForeignKeysHaveIndexes(t *testing.T) {
	t.Parallel()
	_, pool, _ := migrated(t)
	compare(t, query(t, pool, `
		SELECT x.conrelid::regclass || '.' || a.attname FROM pg_constraint x
		JOIN pg_attribute a ON a.attrelid = x.conrelid AND a.attnum = x.conkey[1]
		WHERE x.contype = 'f' AND x.connamespace = 'github'::regnamespace
		  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = x.conrelid AND i.indkey[0] = x.conkey[1])`), nil)
}

func query(t testing.TB, pool interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, sql string, args ...any) []string {
	t.Helper()
	rows, err := pool.Query(testContext(t), sql, args...)
	if err != nil {
		t.Fatalf("%v in %s", err, sql)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%v in %s", err, sql)
	}
	return list
}

func compare(t testing.TB, got, want []string) {
	t.Helper()
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("only in the database: %s", line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("only in the description: %s", strings.TrimSpace(line))
		}
	}
}

package proxy_test

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// modes are the ways in which pgx speaks: with statements prepared ahead, with
// unnamed ones, without parameters of its own, and the simple protocol.
var modes = []pgx.QueryExecMode{
	pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
}

// form is one way to say a write in SQL. Placeholders: $repo, $a, $b, $c (numbers of
// open issues).
type form struct {
	name     string
	prepare  string // run first, through the proxy
	sql      string
	args     func(n []int64, repo int64) []any
	rows     int // rows returned
	affected int64
	requests int
	check    func(t *testing.T, b *bundle, n []int64, rows [][]any)
}

var forms = []form{
	{
		name: "insert values returning", rows: 1, affected: 1, requests: 1,
		sql: `INSERT INTO issue (repository_id, title, body, labels) VALUES ($repo, 'It works', 'from psql', '{bug}') RETURNING id, number, html_url, labels`,
		check: func(t *testing.T, b *bundle, _ []int64, rows [][]any) {
			got := b.issue(rows[0][1].(int64))
			if got == nil || got["title"] != "It works" || got["body"] != "from psql" || got["html_url"] != rows[0][2] {
				t.Errorf("RETURNING %v, GitHub has %v", rows[0], got)
			}
		},
	},
	{
		name: "insert several rows", rows: 3, affected: 3, requests: 3,
		sql: `INSERT INTO issue (repository_id, title) VALUES ($repo, 'first'), ($repo, 'second'), ($repo, 'third') RETURNING number, title`,
		check: func(t *testing.T, b *bundle, _ []int64, rows [][]any) {
			for i, want := range []string{"first", "second", "third"} {
				if rows[i][1] != want || b.issue(rows[i][0].(int64))["title"] != want {
					t.Errorf("row %d is %v, want %s", i, rows[i], want)
				}
			}
		},
	},
	{
		name: "insert parameters", rows: 1, affected: 1, requests: 1,
		sql:  `INSERT INTO issue (repository_id, title, body) VALUES ($1, $2, upper($3)) RETURNING number, body`,
		args: func(_ []int64, repo int64) []any { return []any{repo, "param ü 🎉", "shout"} },
		check: func(t *testing.T, b *bundle, _ []int64, rows [][]any) {
			if got := b.issue(rows[0][0].(int64)); got["title"] != "param ü 🎉" || got["body"] != "SHOUT" {
				t.Errorf("GitHub has %v", got)
			}
		},
	},
	{
		name: "insert select", rows: 0, affected: 2, requests: 2,
		sql: `INSERT INTO issue (repository_id, title) SELECT repository_id, 'copy of ' || number FROM github.issue WHERE repository_id = $repo AND number IN ($a, $b) ORDER BY number`,
	},
	{
		name: "insert with state closed and locked", rows: 1, affected: 1, requests: 3,
		sql: `INSERT INTO github.issue (repository_id, title, state, state_reason, locked, active_lock_reason) VALUES ($repo, 'born closed', 'closed', 'not_planned', true, 'spam') RETURNING number, state, state_reason, locked, active_lock_reason`,
		check: func(t *testing.T, b *bundle, _ []int64, rows [][]any) {
			if fmt.Sprint(rows[0][1:]) != "[closed not_planned true spam]" {
				t.Errorf("RETURNING %v", rows[0])
			}
		},
	},
	{
		name: "update close", rows: 0, affected: 1, requests: 1,
		sql: `UPDATE issue SET state = 'closed', state_reason = 'completed' WHERE repository_id = $repo AND number = $a`,
		check: func(t *testing.T, b *bundle, n []int64, _ [][]any) {
			if got := b.issue(n[0]); got["state"] != "closed" || got["state_reason"] != "completed" {
				t.Errorf("GitHub has %v", got)
			}
		},
	},
	{
		name: "update expression returning", rows: 2, affected: 2, requests: 2,
		sql: `UPDATE issue SET title = title || ' (' || upper('x') || ')' WHERE repository_id = $repo AND number IN ($a, $b) RETURNING number, title, updated_at, id, locked`,
	},
	{
		name: "update parameters", rows: 1, affected: 1, requests: 1,
		sql: `UPDATE issue SET title = $1, labels = $2 WHERE repository_id = $3 AND number = $4 RETURNING labels`,
		args: func(n []int64, repo int64) []any {
			return []any{"by parameter", []string{"bug", "brand-new"}, repo, n[0]}
		},
		check: func(t *testing.T, b *bundle, n []int64, rows [][]any) {
			if got := b.issue(n[0]); got["title"] != "by parameter" || len(got["labels"].([]any)) != 2 {
				t.Errorf("GitHub has %v", got)
			}
		},
	},
	{
		name: "update nothing changes", rows: 1, affected: 1, requests: 0,
		sql: `UPDATE issue SET title = title WHERE repository_id = $repo AND number = $a RETURNING number`,
	},
	{
		name: "update some rows change", rows: 0, affected: 2, requests: 1,
		prepare: `UPDATE issue SET title = 'same already' WHERE repository_id = $repo AND number = $a`,
		sql:     `UPDATE issue SET title = 'same already' WHERE repository_id = $repo AND number IN ($a, $b)`,
	},
	{
		name: "update no row", rows: 0, affected: 0, requests: 0,
		sql: `UPDATE issue SET title = 'x' WHERE number = -1 RETURNING id`,
	},
	{
		name: "update from", rows: 2, affected: 2, requests: 2,
		prepare: `CREATE TABLE public.plan AS SELECT number, 'planned ' || number AS title FROM github.issue WHERE repository_id = $repo AND number IN ($a, $b)`,
		sql:     `UPDATE issue i SET title = p.title FROM public.plan p WHERE i.number = p.number AND i.repository_id = $repo RETURNING i.number, p.title, i.title`,
		check: func(t *testing.T, b *bundle, _ []int64, rows [][]any) {
			for _, row := range rows {
				if row[1] != row[2] || b.issue(row[0].(int64))["title"] != row[1] {
					t.Errorf("row %v", row)
				}
			}
		},
	},
	{
		name: "update with sub-select and cte", rows: 0, affected: 1, requests: 1,
		sql: `WITH pick AS (SELECT min(number) AS n FROM github.issue WHERE repository_id = $repo AND number IN ($a, $b)) UPDATE issue SET body = (SELECT 'body of ' || n FROM pick) WHERE repository_id = $repo AND number = (SELECT n FROM pick)`,
	},
	{
		name: "lock and unlock", rows: 1, affected: 1, requests: 1,
		prepare: `UPDATE issue SET locked = true, active_lock_reason = 'resolved' WHERE repository_id = $repo AND number = $a`,
		sql:     `UPDATE issue SET locked = false, active_lock_reason = NULL WHERE repository_id = $repo AND number = $a RETURNING locked, active_lock_reason`,
		check: func(t *testing.T, b *bundle, _ []int64, rows [][]any) {
			if rows[0][0] != false || rows[0][1] != nil {
				t.Errorf("RETURNING %v", rows[0])
			}
		},
	},
	{
		name: "delete returning", rows: 1, affected: 1, requests: 1,
		sql: `DELETE FROM issue WHERE repository_id = $repo AND number = $a RETURNING number, title`,
		check: func(t *testing.T, b *bundle, n []int64, _ [][]any) {
			if got := b.issue(n[0]); got != nil {
				t.Errorf("GitHub still has %v", got["number"])
			}
		},
	},
	{
		name: "delete using", rows: 0, affected: 2, requests: 2,
		prepare: `CREATE TABLE public.doomed AS SELECT unnest(ARRAY[$a, $b]) AS number`,
		sql:     `DELETE FROM github.issue i USING public.doomed d WHERE i.number = d.number AND i.repository_id = $repo`,
	},
	{
		name: "writable cte", rows: 1, affected: 1, requests: 1,
		prepare: `CREATE TABLE public.log (number bigint)`,
		sql:     `WITH closed AS (UPDATE issue SET state = 'closed' WHERE repository_id = $repo AND number = $a RETURNING number), l AS (INSERT INTO public.log SELECT number FROM closed RETURNING number) SELECT number FROM l`,
		check: func(t *testing.T, b *bundle, n []int64, rows [][]any) {
			var count int
			if err := b.pool.QueryRow(b.ctx, `SELECT count(*) FROM pg_catalog.pg_class WHERE relname = 'log'`).Scan(&count); err != nil || count != 1 {
				t.Errorf("log: %d, %v", count, err)
			}
		},
	},
	{
		name: "merge", rows: 0, affected: 1, requests: 1,
		sql: `MERGE INTO github.issue i USING (VALUES ($a::bigint, 'merged')) AS v(number, title) ON i.number = v.number AND i.repository_id = $repo WHEN MATCHED THEN UPDATE SET title = v.title`,
	},
	{
		name: "upsert of an existing row", rows: 1, affected: 1, requests: 1,
		sql: `INSERT INTO issue (id, repository_id, title) SELECT id, repository_id, 'upserted' FROM github.issue WHERE repository_id = $repo AND number = $a ON CONFLICT (id) DO UPDATE SET title = EXCLUDED.title RETURNING number, title`,
		check: func(t *testing.T, b *bundle, n []int64, rows [][]any) {
			if rows[0][1] != "upserted" || b.issue(n[0])["title"] != "upserted" {
				t.Errorf("RETURNING %v", rows[0])
			}
		},
	},
	{
		name: "upsert by number", rows: 0, affected: 1, requests: 1,
		sql: `INSERT INTO issue (repository_id, number, title) VALUES ($repo, $a, 'by number') ON CONFLICT (repository_id, number) DO UPDATE SET title = EXCLUDED.title`,
	},
	{
		name: "insert that exists, do nothing", rows: 0, affected: 0, requests: 0,
		sql: `INSERT INTO issue (id, repository_id, title) SELECT id, repository_id, 'never' FROM github.issue WHERE repository_id = $repo AND number = $a ON CONFLICT DO NOTHING RETURNING id`,
	},
	{
		name: "view of labels", rows: 0, affected: 1, requests: 1,
		sql: `DELETE FROM github.issue_label WHERE issue_id = (SELECT id FROM github.issue WHERE repository_id = $repo AND cardinality(labels) > 0 ORDER BY number LIMIT 1) AND name = (SELECT labels[1] FROM github.issue WHERE repository_id = $repo AND cardinality(labels) > 0 ORDER BY number LIMIT 1)`,
	},
}

// TestForms runs every form in every protocol mode, outside and inside a
// transaction block.
func TestForms(t *testing.T) {
	t.Parallel()
	for _, mode := range modes {
		for _, begin := range []string{"", "BEGIN", "BEGIN ISOLATION LEVEL SERIALIZABLE"} {
			t.Run(fmt.Sprintf("%v %s", mode, begin), func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				conn, _ := b.connect(mode)
				for _, f := range forms {
					t.Run(f.name, func(t *testing.T) {
						n := b.numbers(3)
						b.adminExec(`DROP TABLE IF EXISTS public.plan, public.doomed, public.log`)
						fill := func(sql string) string {
							return strings.NewReplacer("$repo", fmt.Sprint(b.repo), "$a", fmt.Sprint(n[0]), "$b", fmt.Sprint(n[1]), "$c", fmt.Sprint(n[2])).Replace(sql)
						}
						if f.prepare != "" {
							if _, err := conn.Exec(b.ctx, fill(f.prepare)); err != nil {
								t.Fatalf("%s: %v", f.prepare, err)
							}
						}
						var args []any
						if f.args != nil {
							args = f.args(n, b.repo)
						}
						before := b.mutations()
						if begin != "" {
							if _, err := conn.Exec(b.ctx, begin); err != nil {
								t.Fatal(err)
							}
						}
						got, err := conn.Query(b.ctx, fill(f.sql), args...)
						if err != nil {
							t.Fatal(err)
						}
						var rows [][]any
						for got.Next() {
							row, err := got.Values()
							if err != nil {
								t.Fatal(err)
							}
							rows = append(rows, row)
						}
						if err := got.Err(); err != nil {
							t.Fatalf("%s: %v", fill(f.sql), err)
						}
						if begin != "" {
							if status := conn.PgConn().TxStatus(); status != 'T' {
								t.Errorf("transaction status %c in the block", status)
							}
							if _, err := conn.Exec(b.ctx, "COMMIT"); err != nil {
								t.Fatal(err)
							}
						}
						if status := conn.PgConn().TxStatus(); status != 'I' {
							t.Errorf("transaction status %c at the end", status)
						}
						if len(rows) != f.rows || got.CommandTag().RowsAffected() != f.affected {
							t.Errorf("%d rows, tag %q, want %d rows and %d affected", len(rows), got.CommandTag(), f.rows, f.affected)
						}
						if sent := b.mutations() - before; sent != f.requests {
							t.Errorf("%d mutations were sent, want %d", sent, f.requests)
						}
						if f.check != nil && len(rows) == f.rows {
							f.check(t, b, n, rows)
						}
						b.settled()
					})
				}
			})
		}
	}
}

// psql runs commands by the real client and returns its output, both streams.
func (b *bundle) psql(args ...string) string {
	b.t.Helper()
	path, err := exec.LookPath("psql")
	if err != nil {
		b.t.Skip("psql is not installed")
	}
	cmd := exec.CommandContext(b.ctx, path, append([]string{"-X", b.dsn(), "-v", "VERBOSITY=verbose"}, args...)...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	return string(out)
}

func TestPsql(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.numbers(2)
	out := b.psql("-At", "-c", fmt.Sprintf(`INSERT INTO issue (repository_id, title, body, labels) VALUES (%d, 'It works', 'from psql', '{bug}') RETURNING number, html_url`, b.repo))
	if !strings.Contains(out, "|http") || !strings.Contains(out, "INSERT 0 1") {
		t.Errorf("INSERT printed %q", out)
	}
	out = b.psql("-At", "-c", fmt.Sprintf(`UPDATE issue SET state = 'closed', state_reason = 'completed' WHERE repository_id = %d AND number = %d`, b.repo, n[0]))
	if strings.TrimSpace(out) != "UPDATE 1" || b.issue(n[0])["state"] != "closed" {
		t.Errorf("UPDATE printed %q", out)
	}
	out = b.psql("-At", "-c", fmt.Sprintf(`DELETE FROM issue WHERE repository_id = %d AND number = %d`, b.repo, n[1]))
	if strings.TrimSpace(out) != "DELETE 1" || b.issue(n[1]) != nil {
		t.Errorf("DELETE printed %q", out)
	}
	b.settled()

	before := b.drift()
	out = b.psql("-c", fmt.Sprintf(`INSERT INTO issue (repository_id, title) VALUES (%d, repeat('x', 300))`, b.repo))
	if !strings.Contains(out, "ERROR:  23514") || !strings.Contains(out, "DETAIL") {
		t.Errorf("a title that GitHub refuses printed %q", out)
	}
	if after := b.drift(); !slices.Equal(before, after) {
		t.Errorf("after a refused INSERT: %v", after)
	}
	b.settled()
}

// TestScripts runs several statements in one Query message and compares with
// what the server does with the same script on an ordinary table.
func TestScripts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, sql string
		tags      []string
		code      string // of the error, if any
		kept      int    // rows that stay in ordinary table public.notes
		warning   bool   // GitHub keeps what was rolled back
		status    byte
	}{
		{name: "write between others", sql: `INSERT INTO public.notes VALUES (1); INSERT INTO issue (repository_id, title) VALUES ($repo, 's1'); INSERT INTO public.notes VALUES (2)`,
			tags: []string{"INSERT 0 1", "INSERT 0 1", "INSERT 0 1"}, kept: 2, status: 'I'},
		{name: "error after the write rolls all back", sql: `INSERT INTO public.notes VALUES (1); INSERT INTO issue (repository_id, title) VALUES ($repo, 's2'); SELECT 1/0; INSERT INTO public.notes VALUES (2)`,
			tags: []string{"INSERT 0 1", "INSERT 0 1"}, code: "22012", kept: 0, warning: true, status: 'I'},
		{name: "begin inside keeps what came before in the block", sql: `INSERT INTO public.notes VALUES (1); UPDATE issue SET title = 's3' WHERE repository_id = $repo AND number = $a; BEGIN; INSERT INTO public.notes VALUES (2)`,
			tags: []string{"INSERT 0 1", "UPDATE 1", "BEGIN", "INSERT 0 1"}, kept: 0, status: 'T'},
		{name: "commit inside keeps the first part", sql: `BEGIN; UPDATE issue SET title = 's4' WHERE repository_id = $repo AND number = $a; INSERT INTO public.notes VALUES (1); COMMIT; INSERT INTO public.notes VALUES (2); SELECT 1/0`,
			tags: []string{"BEGIN", "UPDATE 1", "INSERT 0 1", "COMMIT", "INSERT 0 1"}, code: "22012", kept: 1, status: 'I'},
		{name: "rollback inside", sql: `UPDATE issue SET title = 's5' WHERE repository_id = $repo AND number = $a; INSERT INTO public.notes VALUES (1); ROLLBACK; INSERT INTO public.notes VALUES (2)`,
			tags: []string{"UPDATE 1", "INSERT 0 1", "ROLLBACK", "INSERT 0 1"}, kept: 1, warning: true, status: 'I'},
		{name: "savepoint in an implicit transaction", sql: `UPDATE issue SET title = 's6' WHERE repository_id = $repo AND number = $a; SAVEPOINT x`,
			tags: []string{"UPDATE 1"}, code: "25P01", kept: 0, warning: true, status: 'I'},
		{name: "refused by GitHub", sql: `INSERT INTO public.notes VALUES (1); INSERT INTO issue (repository_id, title) VALUES ($repo, ''); INSERT INTO public.notes VALUES (2)`,
			tags: []string{"INSERT 0 1"}, code: "23514", kept: 0, status: 'I'},
		{name: "syntax error runs nothing", sql: `UPDATE issue SET title = 's7' WHERE repository_id = $repo AND number = $a; SELEC 1`,
			code: "42601", kept: 0, status: 'I'},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			conn, notices := b.connect(pgx.QueryExecModeSimpleProtocol)
			if _, err := conn.Exec(b.ctx, `CREATE TABLE public.notes (i int)`); err != nil {
				t.Fatal(err)
			}
			sql := strings.NewReplacer("$repo", fmt.Sprint(b.repo), "$a", fmt.Sprint(b.numbers(1)[0])).Replace(tc.sql)
			results := conn.PgConn().Exec(b.ctx, sql)
			var tags []string
			for results.NextResult() {
				if tag, err := results.ResultReader().Close(); err == nil {
					tags = append(tags, tag.String())
				}
			}
			code := sqlState(results.Close())
			if !slices.Equal(tags, tc.tags) || code != tc.code {
				t.Errorf("tags %q error %q, want %q and %q", tags, code, tc.tags, tc.code)
			}
			if got := conn.PgConn().TxStatus(); got != tc.status {
				t.Errorf("transaction status %c, want %c", got, tc.status)
			}
			if got := notices.has("01000", "GitHub keeps"); got != tc.warning {
				t.Errorf("warning that GitHub keeps the change: %v, want %v", got, tc.warning)
			}
			if tc.status == 'T' {
				if _, err := conn.Exec(b.ctx, "ROLLBACK"); err != nil {
					t.Fatal(err)
				}
				if !notices.has("01000", "GitHub keeps") {
					t.Error("no warning at ROLLBACK")
				}
			}
			var kept int
			if err := conn.QueryRow(b.ctx, `SELECT count(*) FROM public.notes`).Scan(&kept); err != nil || kept != tc.kept {
				t.Errorf("%d rows kept (%v), want %d", kept, err, tc.kept)
			}
			b.settled()
		})
	}
}

// sqlState is the SQLSTATE of an error; "" for nil.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// TestViewOfTheUsers writes through a view over the mirrored table.
func TestViewOfTheUsers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stop()
	b.adminExec(`CREATE VIEW public.open_issue AS SELECT number, title, repository_id FROM github.issue WHERE state = 'open'; GRANT ALL ON public.open_issue TO app`, pgx.QueryExecModeSimpleProtocol)
	b.start()
	n := b.numbers(1)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		conn, _ := b.connect(mode)
		before := b.mutations()
		title := fmt.Sprintf("by a view, %v", mode)
		var got string
		if err := conn.QueryRow(b.ctx, `UPDATE public.open_issue SET title = $1 WHERE number = $2 AND repository_id = $3 RETURNING title`, title, n[0], b.repo).Scan(&got); err != nil || got != title {
			t.Errorf("RETURNING %q, %v", got, err)
		}
		if b.issue(n[0])["title"] != title || b.mutations() != before+1 {
			t.Errorf("GitHub has %q after %d requests", b.issue(n[0])["title"], b.mutations()-before)
		}
	}
	b.settled()
}

package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/githubsim"
)

// TestErrors makes GitHub, or the proxy, refuse in each documented way, in both
// protocols, in and outside a transaction block.
func TestErrors(t *testing.T) {
	t.Parallel()
	const update = `UPDATE issue SET title = 'never' WHERE repository_id = $repo AND number = $a`
	for _, tc := range []struct {
		name   string
		sql    string
		fault  *githubsim.Fault
		broken bool // GitHub cannot be reached
		code   string
		text   string // in message, detail or hint
		sent   bool   // a request may have been sent
	}{
		{name: "422", sql: `INSERT INTO issue (repository_id, title) VALUES ($repo, repeat('x', 300))`, code: "23514", text: "title", sent: true},
		{name: "403 permission", sql: update, code: "42501", text: "issues=write", sent: true,
			fault: &githubsim.Fault{Method: "PATCH", Status: 403, Header: map[string]string{"X-Accepted-Github-Permissions": "issues=write"}, Body: `{"message":"Resource not accessible by integration","documentation_url":"https://docs.github.com/rest","status":"403"}`}},
		{name: "404", sql: update, code: "42704", sent: true,
			fault: &githubsim.Fault{Method: "PATCH", Status: 404, Body: `{"message":"Not Found","documentation_url":"https://docs.github.com/rest","status":"404"}`}},
		{name: "410", sql: update, code: "55000", sent: true,
			fault: &githubsim.Fault{Method: "PATCH", Status: 410, Body: `{"message":"Issues are disabled for this repo","documentation_url":"https://docs.github.com/rest","status":"410"}`}},
		{name: "limit", sql: update, code: "53400", text: "retry", sent: true,
			fault: &githubsim.Fault{Method: "PATCH", Status: 429, Header: map[string]string{"Retry-After": "600"}, Body: `{"message":"You have exceeded a secondary rate limit."}`}},
		{name: "unreachable", sql: update, code: "08006", broken: true},
		{name: "outcome unknown", sql: update, code: "08007", sent: true,
			fault: &githubsim.Fault{Path: "/repos/**", Cut: "before"}},
		{name: "other column", sql: `UPDATE issue SET number = 999999 WHERE repository_id = $repo AND number = $a`, code: "428C9", text: "number"},
		{name: "insert with id", sql: `INSERT INTO issue (repository_id, title, id) VALUES ($repo, 'x', 77)`, code: "428C9", text: "id"},
		{name: "read-only table", sql: `UPDATE github.label SET name = 'x'`, code: "55000"},
		{name: "write hidden in a function", sql: `DO $$ BEGIN UPDATE github.issue SET title = 'x' WHERE number = $a; END $$`, code: "55000", text: "proxy"},
		{name: "syntax", sql: `UPDATE issue SET SET title = 'x'`, code: "42601"},
		{name: "unknown column", sql: `UPDATE issue SET nosuch = 1 WHERE number = $a`, code: "42703"},
		{name: "division in the statement", sql: `UPDATE issue SET title = (1/0)::text WHERE number = $a AND repository_id = $repo`, code: "22012"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			n := b.numbers(1)
			sql := strings.NewReplacer("$repo", fmt.Sprint(b.repo), "$a", fmt.Sprint(n[0])).Replace(tc.sql)
			if tc.broken {
				b.http.Listener.Close()
				b.http.CloseClientConnections()
			}
			for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
				for _, block := range []bool{false, true} {
					t.Run(fmt.Sprintf("%v block %v", mode, block), func(t *testing.T) {
						if tc.fault != nil {
							b.sim.AddFault(*tc.fault)
						}
						conn, _ := b.connect(mode)
						refused(t, b, conn, sql, block, tc.code, tc.text)
						b.sim.RemoveFault(0)
					})
				}
			}
			if tc.broken {
				return
			}
			if !tc.sent && b.mutations() != 0 {
				t.Errorf("%d mutations were sent", b.mutations())
			}
			b.settled()
		})
	}
}

// refused requires that a statement fails with the given SQLSTATE, says text
// somewhere, and leaves the transaction as Postgres would.
func refused(t *testing.T, b *bundle, conn *pgx.Conn, sql string, block bool, code, text string) {
	t.Helper()
	want := byte('I')
	if block {
		want = 'E'
		if _, err := conn.Exec(b.ctx, "BEGIN"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := conn.Exec(b.ctx, sql)
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("error %v, want SQLSTATE %s", err, code)
	}
	if all := strings.ToLower(e.Message + " " + e.Detail + " " + e.Hint); !strings.Contains(all, text) {
		t.Errorf("%q is not in: %s", text, all)
	}
	if got := conn.PgConn().TxStatus(); got != want {
		t.Errorf("transaction status %c, want %c", got, want)
	}
	if !block {
		return
	}
	if _, err := conn.Exec(b.ctx, "SELECT 1"); sqlState(err) != "25P02" {
		t.Errorf("in the aborted block: %v, want 25P02", err)
	}
	if tag, err := conn.Exec(b.ctx, "COMMIT"); err != nil || tag.String() != "ROLLBACK" {
		t.Errorf("COMMIT of the aborted block: %q, %v", tag, err)
	}
}

func TestTruncateIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, err := pgx.Connect(b.ctx, b.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(b.ctx)
	for _, sql := range []string{
		`TRUNCATE github.issue CASCADE`, `DELETE FROM github.issue`, `UPDATE github.issue SET title = 'x'`,
		`SET session_replication_role = replica; DELETE FROM github.issue`,
		`SET pghub.mode = 'apply:aa:bb'; DELETE FROM github.issue`,
	} {
		if _, err := conn.Exec(b.ctx, sql, pgx.QueryExecModeSimpleProtocol); sqlState(err) != "55000" {
			t.Errorf("%s: %v, want 55000", sql, err)
		}
	}
	b.settled()
}

func TestRollbackAfterAcceptedWrite(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"ROLLBACK", "ABORT", "SELECT 1/0; COMMIT"} {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeSimpleProtocol} {
			t.Run(fmt.Sprintf("%s %v", end, mode), func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				conn, notices := b.connect(mode)
				n := b.numbers(2)
				tx, err := conn.Begin(b.ctx)
				if err != nil {
					t.Fatal(err)
				}
				var created int64
				if err := tx.QueryRow(b.ctx, `INSERT INTO issue (repository_id, title) VALUES ($1, 'kept') RETURNING number`, b.repo).Scan(&created); err != nil {
					t.Fatal(err)
				}
				if _, err := tx.Exec(b.ctx, `UPDATE issue SET title = 'kept too' WHERE repository_id = $1 AND number = $2`, b.repo, n[0]); err != nil {
					t.Fatal(err)
				}
				if _, err := tx.Exec(b.ctx, `DELETE FROM issue WHERE repository_id = $1 AND number = $2`, b.repo, n[1]); err != nil {
					t.Fatal(err)
				}
				for _, sql := range strings.Split(end, "; ") {
					conn.Exec(b.ctx, sql)
				}
				if conn.PgConn().TxStatus() != 'I' {
					t.Fatalf("transaction status %c", conn.PgConn().TxStatus())
				}
				if !notices.has("01000", fmt.Sprintf("#%d (created)", created)) || !notices.has("01000", fmt.Sprintf("#%d (updated)", n[0])) {
					t.Errorf("no warning names the issues: %v", notices.all)
				}
				b.settled()
				var title string
				if err := conn.QueryRow(b.ctx, `SELECT title FROM github.issue WHERE repository_id = $1 AND number = $2`, b.repo, created).Scan(&title); err != nil || title != "kept" {
					t.Errorf("the created issue in the mirror: %q, %v", title, err)
				}
			})
		}
	}
}

func TestRollbackToSavepoint(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, notices := b.connect(pgx.QueryExecModeSimpleProtocol)
	n := b.numbers(2)
	for _, sql := range []string{
		"BEGIN", fmt.Sprintf("UPDATE issue SET title = 'before' WHERE repository_id = %d AND number = %d", b.repo, n[0]),
		"SAVEPOINT a", fmt.Sprintf("UPDATE issue SET title = 'after' WHERE repository_id = %d AND number = %d", b.repo, n[1]),
		"ROLLBACK TO a",
	} {
		if _, err := conn.Exec(b.ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	if !notices.has("01000", "savepoint") {
		t.Error("no warning at ROLLBACK TO")
	}
	if _, err := conn.Exec(b.ctx, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	b.settled()
	if b.issue(n[0])["title"] != "before" || b.issue(n[1])["title"] != "after" {
		t.Error("GitHub lost a change")
	}
}

func TestLostClient(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, _ := b.connect(pgx.QueryExecModeCacheStatement)
	n := b.numbers(1)
	tx, err := conn.Begin(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(b.ctx, `UPDATE issue SET title = 'orphan' WHERE repository_id = $1 AND number = $2`, b.repo, n[0]); err != nil {
		t.Fatal(err)
	}
	conn.PgConn().Conn().Close()
	b.settled()
	if b.issue(n[0])["title"] != "orphan" {
		t.Error("GitHub does not have the change")
	}
	b.eventually("the session is gone", func() bool { return b.proxy.Sessions() == 0 })
}

func TestRowLimit(t *testing.T) {
	t.Parallel()
	b := setup(t, func(s *githubsim.Config, _ *ghapi.Config) { s.Issues = 250 })
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		conn, _ := b.connect(mode)
		sql := `UPDATE issue SET title = title || '!' WHERE id IN (SELECT id FROM github.issue ORDER BY id LIMIT 150)`
		_, err := conn.Exec(b.ctx, sql)
		if sqlState(err) != "54000" {
			t.Errorf("%v: %v, want 54000", mode, err)
		}
		if n := len(b.sim.Requests()); n != 0 {
			t.Errorf("%d requests were sent before the refusal", n)
		}
		if _, err := conn.Exec(b.ctx, "SET pghub.max_rows = 3"); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(b.ctx, `UPDATE issue SET title = title || '!' WHERE id IN (SELECT id FROM github.issue ORDER BY id LIMIT 4)`); sqlState(err) != "54000" {
			t.Errorf("4 rows with max_rows 3: %v", err)
		}
	}
	b.settled()
}

// TestPartFails stops a statement at its third row: what GitHub accepted before is
// named and repaired into the mirror.
func TestPartFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, _ := b.connect(pgx.QueryExecModeExec)
	_, err := conn.Exec(b.ctx, fmt.Sprintf(`INSERT INTO issue (repository_id, title) VALUES (%[1]d, 'one'), (%[1]d, 'two'), (%[1]d, repeat('x', 300)), (%[1]d, 'four')`, b.repo))
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != "23514" || !strings.Contains(e.Detail, "row 3 of 4") || strings.Count(e.Detail, "(created)") != 2 {
		t.Fatalf("error %v, detail %q", err, e.Detail)
	}
	b.settled()
	var titles []string
	rows, _ := conn.Query(b.ctx, `SELECT title FROM github.issue WHERE title IN ('one', 'two', 'four') ORDER BY number`)
	if titles, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || strings.Join(titles, " ") != "one two" {
		t.Errorf("the mirror has %v, %v", titles, err)
	}
}

func TestOwnTableOfTheSameName(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, mode := range modes {
		conn, _ := b.connect(mode)
		for _, sql := range []string{
			"SET search_path = public", "DROP TABLE IF EXISTS public.issue", "CREATE TABLE public.issue (id serial, title text)",
			"INSERT INTO issue (title) VALUES ('mine'), ('too')", "UPDATE issue SET title = 'still mine' WHERE id = 2", "DELETE FROM public.issue WHERE id = 1",
			"INSERT INTO public.issue (title) VALUES ('third')",
		} {
			if _, err := conn.Exec(b.ctx, sql); err != nil {
				t.Fatalf("%v: %s: %v", mode, sql, err)
			}
		}
		rows, _ := conn.Query(b.ctx, "SELECT id || ' ' || title FROM issue ORDER BY id")
		got, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || strings.Join(got, ", ") != "2 still mine, 3 third" {
			t.Errorf("%v: the table holds %v (%v): a statement ran twice or not at all", mode, got, err)
		}
	}
	if len(b.sim.Requests()) != 0 {
		t.Errorf("%d requests were sent", len(b.sim.Requests()))
	}
}

func TestCancelWhileGitHubIsAsked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, _ := b.connect(pgx.QueryExecModeSimpleProtocol)
	n := b.numbers(3)
	b.sim.AddFault(githubsim.Fault{Method: "PATCH", Delay: 300 * time.Millisecond})
	result := make(chan error, 1)
	go func() {
		_, err := conn.Exec(b.ctx, fmt.Sprintf(`UPDATE issue SET title = 'slow' WHERE repository_id = %d AND number IN (%d, %d, %d)`, b.repo, n[0], n[1], n[2]))
		result <- err
	}()
	b.eventually("GitHub is asked", func() bool { return b.openEntries() == 3 })
	if err := conn.PgConn().CancelRequest(context.WithoutCancel(b.ctx)); err != nil {
		t.Fatal(err)
	}
	if err := <-result; sqlState(err) != "57014" && sqlState(err) != "08007" {
		t.Fatalf("error %v, want 57014", err)
	}
	b.sim.RemoveFault(0)
	if got := b.mutations(); got >= 3 {
		t.Errorf("%d requests were sent after the cancel", got)
	}
	var one int
	if err := conn.QueryRow(b.ctx, "SELECT 1").Scan(&one); err != nil {
		t.Errorf("the next statement: %v", err)
	}
	b.settled()
}

// TestIdleTimeoutDoesNotCountGitHub lets GitHub take longer than the client's
// idle_in_transaction_session_timeout.
func TestIdleTimeoutDoesNotCountGitHub(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n := b.numbers(1)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		conn, _ := b.connect(mode)
		b.sim.AddFault(githubsim.Fault{Method: "PATCH", Delay: 400 * time.Millisecond, Count: 2})
		for _, sql := range []string{
			"SET idle_in_transaction_session_timeout = '200ms'",
			fmt.Sprintf("UPDATE issue SET title = 'patient %v' WHERE repository_id = %d AND number = %d", mode, b.repo, n[0]),
			"BEGIN", fmt.Sprintf("UPDATE issue SET title = 'patient again %v' WHERE repository_id = %d AND number = %d", mode, b.repo, n[0]),
		} {
			if _, err := conn.Exec(b.ctx, sql); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
		var timeout string
		if err := conn.QueryRow(b.ctx, "SHOW idle_in_transaction_session_timeout").Scan(&timeout); err != nil || timeout != "200ms" {
			t.Errorf("afterwards the timeout is %q, %v", timeout, err)
		}
		if _, err := conn.Exec(b.ctx, "COMMIT"); err != nil {
			t.Fatal(err)
		}
	}
	b.settled()
}

// TestCopyIsRefused: rows that come by COPY cannot be planned.
func TestCopyIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, _ := b.connect(pgx.QueryExecModeExec)
	_, err := conn.CopyFrom(b.ctx, pgx.Identifier{"github", "issue"}, []string{"repository_id", "title"}, pgx.CopyFromRows([][]any{{b.repo, "copied"}}))
	if sqlState(err) != "55000" {
		t.Errorf("COPY: %v, want 55000", err)
	}
	if b.mutations() != 0 {
		t.Errorf("%d mutations were sent", b.mutations())
	}
	b.settled()
}

// TestReplayedAnswers keeps the settings by which an answer was applied and uses them again, in a
// later transaction, past the proxy's interception: by a function.
func TestReplayedAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, _ := b.connect(pgx.QueryExecModeSimpleProtocol)
	var number int64
	var mode, first, ids string
	err := conn.QueryRow(b.ctx, fmt.Sprintf(`INSERT INTO issue (repository_id, title) VALUES (%d, 'once') RETURNING number,
		current_setting('pghub.mode'), current_setting('pghub.answer_0'), current_setting('pghub.ids')`, b.repo)).Scan(&number, &mode, &first, &ids)
	if err != nil || !strings.HasPrefix(mode, "apply:") || first == "" {
		t.Fatalf("mode %q, %v", mode, err)
	}
	if _, err := conn.Exec(b.ctx, "UPDATE issue SET title = 'newer' WHERE number = $1 AND repository_id = $2", number, b.repo); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"SET pghub.mode = '" + mode + "'", "SET pghub.answer_0 = '" + first + "'", "SET pghub.inserted = '0'",
		fmt.Sprintf("DO $$ BEGIN INSERT INTO github.issue (repository_id, title) VALUES (%d, 'once'); END $$", b.repo),
	} {
		_, err = conn.Exec(b.ctx, sql)
	}
	if sqlState(err) != "55000" {
		t.Errorf("a replayed answer: %v, want 55000", err)
	}
	b.settled()
}

func (b *bundle) openEntries() (n int) {
	if err := b.pool.QueryRow(b.ctx, `SELECT count(*) FROM pghub.write WHERE closed_at IS NULL`).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

func TestWithoutPrivilegeNoRequest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.adminExec(`DO $$ BEGIN CREATE ROLE onlooker LOGIN PASSWORD 'x'; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`)
	b.adminExec(`GRANT pghub_reader TO onlooker`)
	conn, _ := b.connectAs(b.dsnAs("onlooker", "x"), pgx.QueryExecModeExec)
	for _, sql := range []string{
		`UPDATE github.issue SET title = 'x'`, `DELETE FROM github.issue`, fmt.Sprintf(`INSERT INTO github.issue (repository_id, title) VALUES (%d, 'x')`, b.repo),
	} {
		if _, err := conn.Exec(b.ctx, sql); sqlState(err) != "42501" {
			t.Errorf("%s: %v, want 42501", sql, err)
		}
	}
	if n := len(b.sim.Requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

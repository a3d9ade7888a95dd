package schema_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/schema"
)

// TestReplacedRowIsNotDeleted plays the proxy: GitHub's news of a create may be in the mirror before the client's own
// transaction stores the answer. The trigger then takes the row away and stores it anew, which is an update at most.
func TestReplacedRowIsNotDeleted(t *testing.T) {
	t.Parallel()
	ctx, pool, url := mirror(t)
	admin := connect(t, url)
	upsert(t, pool, rowsOf(t, schema.Issue, issueObject(100, 1, octocat), one)...)
	upsert(t, pool, rowsOf(t, schema.Issue, issueObject(101, 2, octocat), one)...)

	// Each answer is the row 100 with some values of its own.
	insert := func(end string, answers ...string) {
		t.Helper()
		tx, err := admin.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, `SELECT set_config('pghub.mode', 'apply:nonce:' || pghub.sign(concat_ws(':', 'apply:nonce', pg_backend_pid(), pg_current_xact_id())), true)`)
		for i, change := range answers {
			exec(t, tx, `
				WITH answer AS (
					SELECT encode(convert_to(jsonb_build_object('table', 'issue', 'op', 'insert', 'row', to_jsonb(i) || $2::jsonb)::text, 'UTF8'), 'base64') AS a
					FROM github.issue i WHERE id = 100)
				SELECT set_config('pghub.answer_' || $1::int, pghub.sign('nonce:' || $1::int || ':' || a) || ':' || a, true) FROM answer`, i, change)
		}
		exec(t, tx, `SET LOCAL ROLE `+schema.RoleWriter)
		exec(t, tx, `INSERT INTO github.issue (repository_id, title) SELECT $1, 'any' FROM generate_series(1, $2)`, repositoryOne, len(answers))
		exec(t, tx, `SET LOCAL ROLE `+schema.RoleSync)
		if left := query(t, tx, `SELECT row_id::text FROM pghub.event_replaced`); len(left) > 0 {
			t.Errorf("rows left of replaced ones: %q", left)
		}
		exec(t, tx, end)
	}
	const second = `{"id": 101, "number": 2, "node_id": "I_101"}`
	for _, c := range []struct {
		name    string
		end     string
		answers []string
		want    []string
	}{
		{"the same", "COMMIT", []string{`{}`}, nil},
		{"rolled back", "ROLLBACK", []string{`{"title": "never"}`, `{"id": 102, "number": 3}`}, nil},
		{"newer", "COMMIT", []string{`{"title": "newer"}`}, []string{"updated issue 100 {title} write"}},
		{"among others", "COMMIT", []string{`{"id": 103, "number": 4, "node_id": "I_103"}`, `{}`, second}, []string{
			"created issue 103 write", "updated issue 101 {html_url,payload,title,url} write"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			last := lastEvent(t, pool)
			insert(c.end, c.answers...)
			wantEvents(t, pool, last, c.want...)
		})
	}

	// A mode that nobody signed makes nobody's change a client's, and hides none.
	last := lastEvent(t, pool)
	tx, err := admin.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, `SELECT set_config('pghub.mode', 'forged', true)`)
	exec(t, tx, `SET LOCAL ROLE `+schema.RoleWriter)
	if _, err := tx.Exec(ctx, `DELETE FROM github.issue`); err == nil {
		t.Error("a forged mode lets a client delete")
	}
	if err := tx.Rollback(ctx); err != nil && err != pgx.ErrTxClosed {
		t.Fatal(err)
	}
	wantEvents(t, pool, last)
}

package schema_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/schema"
)

// upsert stores rows whose request begins now, in a transaction of its own.
func upsert(t testing.TB, pool *pgxpool.Pool, rows ...schema.Row) schema.UpsertResult {
	t.Helper()
	return upsertFetched(t, pool, time.Now(), rows...)
}

func upsertFetched(t testing.TB, pool *pgxpool.Pool, fetchedAt time.Time, rows ...schema.Row) schema.UpsertResult {
	t.Helper()
	ctx := testContext(t)
	var result schema.UpsertResult
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) (err error) {
		result, err = schema.Upsert(ctx, tx, rows, fetchedAt)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// mirror is a migrated database with one repository in it.
func mirror(t testing.TB) (context.Context, *pgxpool.Pool, string) {
	t.Helper()
	ctx, pool, url := migrated(t)
	upsert(t, pool, rowsOf(t, schema.Repository, repositoryObject(repositoryOne, octocat, "hello"), schema.Scope{})...)
	return ctx, pool, url
}

// stored gives one value of one row as text, or "no row".
func stored(t testing.TB, pool *pgxpool.Pool, table *schema.Table, id int64, column string) string {
	t.Helper()
	list := query(t, pool, fmt.Sprintf(`SELECT coalesce(%s::text, 'NULL') FROM github.%s WHERE id = $1`, pgx.Identifier{column}.Sanitize(), table.Name), id)
	if len(list) == 0 {
		return "no row"
	}
	return list[0]
}

// TestRowsReadBackEqual stores a full object of every table, and requires that each column reads back as decoded, and that
// Row.JSON makes the same row in Postgres.
func TestRowsReadBackEqual(t *testing.T) {
	t.Parallel()
	ctx, pool, _ := mirror(t)
	hubot := userObject(1<<40, "hubot").with(object{"name": "Hub\x00ot", "hireable": nil, "followers": 1 << 33, "plan": object{"name": "pro"}})
	issue := issueObject(1<<41, 7, octocat).with(object{
		"title": "emoji 😀, quote ' \" \\, NUL \x00, tab \t", "body": strings.Repeat("€", 65536),
		"labels": []any{labelObject(1<<42, "it's, {\"odd\"}"), labelObject(1<<42+1, "NULL")}, "assignees": []object{hubot, octocat},
		"milestone": milestoneObject(1<<43, hubot), "closed_by": hubot, "issue_field_values": []object{{"value": 42.5}},
	})
	rows := rowsOf(t, schema.Issue, issue, one)
	rows = append(rows, rowsOf(t, schema.IssueComment, commentObject(1<<44, 7, hubot), one)...)
	rows = append(rows, rowsOf(t, schema.Repository, repositoryObject(repositoryTwo, hubot, "other"), schema.Scope{})...)
	if result := upsert(t, pool, rows...); len(result.Deferred) > 0 {
		t.Fatalf("deferred %d rows", len(result.Deferred))
	}
	for _, row := range rows {
		for i, c := range row.Table.Columns {
			switch {
			case c.Name == "synced_at", c.Name == "issue_id":
				continue
			case c.Name == "payload" && row.Table == schema.Account:
				continue // joined from several forms of the account
			}
			var same bool
			sql := fmt.Sprintf(`SELECT %s IS NOT DISTINCT FROM $2::%s FROM github.%s WHERE id = $1`, pgx.Identifier{c.Name}.Sanitize(), c.Type, row.Table.Name)
			if err := pool.QueryRow(ctx, sql, row.ID(), row.Values[i]).Scan(&same); err != nil {
				t.Fatalf("%s.%s: %v", row.Table.Name, c.Name, err)
			}
			if !same {
				t.Errorf("%s.%s: stored %s, decoded %v", row.Table.Name, c.Name, stored(t, pool, row.Table, row.ID(), c.Name), row.Values[i])
			}
		}
		asJSON, err := row.JSON()
		if err != nil {
			t.Fatal(err)
		}
		if row.Table == schema.Account {
			continue
		}
		sql := fmt.Sprintf(`SELECT (jsonb_populate_record(m, $2) IS NOT DISTINCT FROM m)::text FROM github.%s m WHERE id = $1`, row.Table.Name)
		if got := query(t, pool, sql, row.ID(), json.RawMessage(asJSON)); !slices.Equal(got, []string{"true"}) {
			t.Errorf("%s: Row.JSON makes another row: %s", row.Table.Name, asJSON)
		}
	}
	if got := stored(t, pool, schema.IssueComment, 1<<44, "issue_id"); got != fmt.Sprint(int64(1<<41)) {
		t.Errorf("the comment's issue_id is %s", got)
	}
}

// TestWhichStateWins covers the rule of Upsert for a row that exists: stored with updated_at 10, at a moment called now.
func TestWhichStateWins(t *testing.T) {
	t.Parallel()
	_, pool, _ := mirror(t)
	before, after := -time.Hour, time.Duration(0)
	for i, c := range []struct {
		name     string
		change   object
		fetched  time.Duration
		want     string
		changed  int64
		deferred int
	}{
		{"newer", object{"title": "new", "updated_at": at(11)}, after, "new", 1, 0},
		{"newer, fetched before the stored one was", object{"title": "new", "updated_at": at(11)}, before, "new", 1, 0},
		{"older", object{"title": "old", "updated_at": at(9)}, after, "stored", 0, 0},
		{"the same again", object{}, after, "stored", 0, 0},
		{"the same, fetched before", object{}, before, "stored", 0, 0},
		{"tie, fetched later", object{"title": "other"}, after, "other", 1, 0},
		{"tie, fetched before", object{"title": "other"}, before, "stored", 0, 1},
		{"tie, only an undocumented field", object{"undocumented": 1}, after, "stored", 1, 0},
	} {
		base := issueObject(int64(1000+i), int64(i), octocat).with(object{"title": "stored"})
		upsert(t, pool, rowsOf(t, schema.Issue, base, one)...)
		row, err := schema.Issue.Decode(base.with(c.change).raw(t), one)
		if err != nil {
			t.Fatal(err)
		}
		result := upsertFetched(t, pool, time.Now().Add(c.fetched), row)
		if got := stored(t, pool, schema.Issue, row.ID(), "title"); got != c.want || result.Changed != c.changed || len(result.Deferred) != c.deferred {
			t.Errorf("%s: title %q, changed %d, deferred %d; want %q, %d, %d", c.name, got, result.Changed, len(result.Deferred), c.want, c.changed, c.deferred)
		}
	}
}

func TestWithoutVersionTheFetchDecides(t *testing.T) {
	t.Parallel()
	_, pool, _ := mirror(t)
	label := func(color string) schema.Row {
		return rowsOf(t, schema.Label, labelObject(1, "bug").with(object{"color": color}), one)[0]
	}
	upsert(t, pool, label("aaaaaa"))
	if r := upsertFetched(t, pool, time.Now().Add(-time.Hour), label("bbbbbb")); r.Changed != 0 || len(r.Deferred) != 0 {
		t.Errorf("an answer from before was not just left out: %+v", r)
	}
	if got := stored(t, pool, schema.Label, 1, "color"); got != "aaaaaa" {
		t.Errorf("color %s", got)
	}
	upsert(t, pool, label("cccccc"))
	if got := stored(t, pool, schema.Label, 1, "color"); got != "cccccc" {
		t.Errorf("color %s", got)
	}
}

// TestAbsentFieldsKeepWhatIsKnown mixes rows that know different columns in one call.
func TestAbsentFieldsKeepWhatIsKnown(t *testing.T) {
	t.Parallel()
	_, pool, _ := mirror(t)
	full := userObject(77, "hubot").with(object{"name": "Hubot", "bio": "beep", "company": "GitHub"})
	upsert(t, pool, rowsOf(t, schema.Account, full, schema.Scope{})...)
	other := userObject(78, "other").with(object{"name": "Other"})
	short := userObject(77, "hubot").with(object{"company": nil, "site_admin": true})
	rows := append(rowsOf(t, schema.Account, other, schema.Scope{}), rowsOf(t, schema.Account, short, schema.Scope{})...)
	if r := upsert(t, pool, rows...); r.Changed != 2 {
		t.Fatalf("%+v", r)
	}
	for column, want := range map[string]string{"name": "Hubot", "bio": "beep", "company": "NULL", "site_admin": "true"} {
		if got := stored(t, pool, schema.Account, 77, column); got != want {
			t.Errorf("%s is %s, want %s", column, got, want)
		}
	}
	if got := query(t, pool, `SELECT payload->>'bio' FROM github.account WHERE id = 77`); got[0] != "beep" {
		t.Errorf("payload lost a field")
	}
	// Once more in one call: the two forms of one account are joined before they are stored.
	r := upsert(t, pool, append(rowsOf(t, schema.Account, full.with(object{"id": 79}), schema.Scope{}), rowsOf(t, schema.Account, short.with(object{"id": 79}), schema.Scope{})...)...)
	if r.Changed != 1 || stored(t, pool, schema.Account, 79, "bio") != "beep" || stored(t, pool, schema.Account, 79, "company") != "NULL" {
		t.Errorf("joined: %+v, bio %s, company %s", r, stored(t, pool, schema.Account, 79, "bio"), stored(t, pool, schema.Account, 79, "company"))
	}
	// A form too short to make a row of waits.
	installed := object{"id": 5, "node_id": "R_5", "name": "n", "full_name": "octocat/n", "private": true}
	if r := upsert(t, pool, rowsOf(t, schema.Repository, installed, schema.Scope{})...); r.Changed != 1 {
		t.Errorf("a repository as installation events list it: %+v", r)
	}
	if r := upsert(t, pool, rowsOf(t, schema.Issue, issueObject(1, 1, octocat).without("title", "labels"), one)...); len(r.Deferred) != 1 {
		t.Errorf("an issue without title: %+v", r)
	}
	if r := upsert(t, pool, rowsOf(t, schema.Issue, issueObject(1, 1, octocat).without("labels", "assignees"), one)...); len(r.Deferred) != 0 || stored(t, pool, schema.Issue, 1, "labels") != "{}" {
		t.Errorf("an issue without labels: %+v", r)
	}
}

// TestLockedRowsAreDeferred holds a row in a second transaction, as a client of the proxy would.
func TestLockedRowsAreDeferred(t *testing.T) {
	t.Parallel()
	ctx, pool, url := mirror(t)
	for n := range int64(3) {
		upsert(t, pool, rowsOf(t, schema.Issue, issueObject(n+1, n+1, octocat), one)...)
	}
	client := connect(t, url)
	tx, err := client.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, `SELECT FROM github.issue WHERE id = 2 FOR UPDATE`)
	var rows []schema.Row
	for n := range int64(3) {
		rows = append(rows, rowsOf(t, schema.Issue, issueObject(n+1, n+1, octocat).with(object{"title": "new", "updated_at": at(20)}), one)...)
	}
	result := upsert(t, pool, rows...)
	if result.Changed != 2 || len(result.Deferred) != 1 || result.Deferred[0].ID() != 2 {
		t.Fatalf("got %d changed, deferred %v", result.Changed, result.Deferred)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if result := upsert(t, pool, result.Deferred...); result.Changed != 1 || stored(t, pool, schema.Issue, 2, "title") != "new" {
		t.Errorf("after the lock is gone: %+v", result)
	}
}

// TestCommentsOfHeldIssuesAreDeferred: the foreign key would make the syncer's COMMIT wait for the client's.
func TestCommentsOfHeldIssuesAreDeferred(t *testing.T) {
	t.Parallel()
	ctx, pool, url := mirror(t)
	upsert(t, pool, rowsOf(t, schema.Issue, issueObject(1, 1, octocat), one)...)
	upsert(t, pool, rowsOf(t, schema.Issue, issueObject(2, 2, octocat), one)...)
	client := connect(t, url)
	tx, err := client.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, `SELECT FROM github.issue WHERE id = 1 FOR UPDATE`)
	rows := append(rowsOf(t, schema.IssueComment, commentObject(11, 1, octocat), one), rowsOf(t, schema.IssueComment, commentObject(12, 2, octocat), one)...)
	result := upsert(t, pool, rows...)
	if result.Changed != 1 || len(result.Deferred) != 1 || result.Deferred[0].ID() != 11 {
		t.Fatalf("changed %d, deferred %v", result.Changed, result.Deferred)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if result := upsert(t, pool, result.Deferred...); result.Changed != 1 {
		t.Errorf("after the lock is gone: %+v", result)
	}
}

// TestOpenCreateDefersUnknownRows records creates in the ledger as the proxy does.
func TestOpenCreateDefersUnknownRows(t *testing.T) {
	t.Parallel()
	_, pool, _ := mirror(t)
	upsert(t, pool, rowsOf(t, schema.Repository, repositoryObject(repositoryTwo, octocat, "other"), schema.Scope{})...)
	upsert(t, pool, rowsOf(t, schema.Issue, issueObject(1, 1, octocat), one)...)
	exec(t, pool, `INSERT INTO pghub.write (statement, ordinal, table_name, op, repository_id, change, role, application, kind, proxy, pid, xid)
		VALUES (1, 0, 'issue', 'insert', $1, '{}', 'app', 'psql', 'insert', 1, 1, pg_current_xact_id())`, repositoryOne)
	two := schema.Scope{RepositoryID: repositoryTwo}
	batch := func() []schema.Row {
		rows := rowsOf(t, schema.Issue, issueObject(1, 1, octocat).with(object{"updated_at": at(20)}), one)
		rows = append(rows, rowsOf(t, schema.Issue, issueObject(2, 2, octocat), one)...)
		rows = append(rows, rowsOf(t, schema.Issue, issueObject(3, 3, octocat), one)...)
		return append(rows, rowsOf(t, schema.Issue, issueObject(4, 1, octocat), two)...)
	}
	ids := func(r schema.UpsertResult) (list []int64) {
		for _, row := range r.Deferred {
			list = append(list, row.ID())
		}
		return list
	}
	if got := ids(upsert(t, pool, batch()...)); !slices.Equal(got, []int64{2, 3}) {
		t.Errorf("while GitHub has not answered: deferred %v, want 2 and 3", got)
	}
	exec(t, pool, `UPDATE pghub.write SET row_id = 3, status = 'answered'`)
	if got := ids(upsert(t, pool, batch()...)); !slices.Equal(got, []int64{3}) {
		t.Errorf("once the id is known: deferred %v, want 3", got)
	}
	exec(t, pool, `UPDATE pghub.write SET status = 'committed', closed_at = now()`)
	if got := ids(upsert(t, pool, batch()...)); got != nil {
		t.Errorf("after the create: deferred %v", got)
	}
}

func TestMissingReferencesAreDeferred(t *testing.T) {
	t.Parallel()
	_, pool, _ := mirror(t)
	stranger, err := schema.Issue.Decode(issueObject(1, 1, userObject(404, "stranger")).raw(t), one)
	if err != nil {
		t.Fatal(err)
	}
	rows := append(rowsOf(t, schema.Issue, issueObject(2, 2, octocat), one), stranger)
	if r := upsert(t, pool, rows...); r.Changed != 1 || len(r.Deferred) != 1 || r.Deferred[0].ID() != 1 {
		t.Errorf("got %+v", r)
	}
}

// TestAnotherIssueOfTheSameNumber is what a restored server may bring; it must not fail the rows beside it.
func TestAnotherIssueOfTheSameNumber(t *testing.T) {
	t.Parallel()
	_, pool, _ := mirror(t)
	upsert(t, pool, rowsOf(t, schema.Issue, issueObject(1, 1, octocat), one)...)
	rows := append(rowsOf(t, schema.Issue, issueObject(2, 1, octocat), one), rowsOf(t, schema.Issue, issueObject(3, 3, octocat), one)...)
	if r := upsert(t, pool, rows...); r.Changed != 1 || len(r.Deferred) != 1 || r.Deferred[0].ID() != 2 {
		t.Errorf("got %+v", r)
	}
}

// TestNamesMaySwap covers renamed and transferred repositories: the id stays, two may even trade their names.
func TestNamesMaySwap(t *testing.T) {
	t.Parallel()
	_, pool, _ := mirror(t)
	owner := userObject(88, "org")
	upsert(t, pool, rowsOf(t, schema.Repository, repositoryObject(repositoryTwo, owner, "other"), schema.Scope{})...)
	swapped := append(
		rowsOf(t, schema.Repository, repositoryObject(repositoryOne, owner, "other").with(object{"updated_at": at(3)}), schema.Scope{}),
		rowsOf(t, schema.Repository, repositoryObject(repositoryTwo, octocat, "hello").with(object{"updated_at": at(3)}), schema.Scope{})...)
	if r := upsert(t, pool, swapped...); r.Changed != 2 {
		t.Errorf("%+v", r)
	}
	if one, two := stored(t, pool, schema.Repository, repositoryOne, "full_name"), stored(t, pool, schema.Repository, repositoryTwo, "full_name"); one != "org/other" || two != "octocat/hello" {
		t.Errorf("names %s, %s", one, two)
	}
	if got := stored(t, pool, schema.Repository, repositoryOne, "owner_id"); got != "88" {
		t.Errorf("owner %s", got)
	}
}

func TestCommentsBeforeTheirIssue(t *testing.T) {
	t.Parallel()
	_, pool, _ := mirror(t)
	rows := append(rowsOf(t, schema.IssueComment, commentObject(1, 9, octocat), one), rowsOf(t, schema.IssueComment, commentObject(2, 10, octocat), one)...)
	upsert(t, pool, rows...)
	if got := stored(t, pool, schema.IssueComment, 1, "issue_id"); got != "NULL" {
		t.Errorf("issue_id %s before there is an issue", got)
	}
	upsert(t, pool, rowsOf(t, schema.Issue, issueObject(100, 9, octocat), one)...)
	if a, b := stored(t, pool, schema.IssueComment, 1, "issue_id"), stored(t, pool, schema.IssueComment, 2, "issue_id"); a != "100" || b != "NULL" {
		t.Errorf("issue_id %s and %s, want 100 and NULL", a, b)
	}
}

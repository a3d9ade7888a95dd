package schema_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/schema"
)

func remove(t testing.TB, pool *pgxpool.Pool, table *schema.Table, ids ...int64) error {
	t.Helper()
	ctx := testContext(t)
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return schema.Delete(ctx, tx, table, ids) })
}

// furnished is a mirror with an issue that refers to everything there is.
func furnished(t testing.TB) (*pgxpool.Pool, string, []schema.Row) {
	t.Helper()
	_, pool, url := mirror(t)
	issue := issueObject(1, 1, octocat).with(object{
		"labels": []object{labelObject(11, "bug"), labelObject(12, "wish")}, "assignees": []object{userObject(21, "hubot")},
		"milestone": milestoneObject(31, userObject(22, "planner")), "closed_by": userObject(22, "planner"),
	})
	rows := append(rowsOf(t, schema.Issue, issue, one), rowsOf(t, schema.IssueComment, commentObject(41, 1, userObject(21, "hubot")), one)...)
	if r := upsert(t, pool, rows...); len(r.Deferred) > 0 {
		t.Fatalf("deferred %d rows", len(r.Deferred))
	}
	return pool, url, rows
}

func TestDelete(t *testing.T) {
	t.Parallel()
	const everything = `
		SELECT 'label ' || id FROM github.label UNION ALL SELECT 'milestone ' || id FROM github.milestone
		UNION ALL SELECT 'comment ' || id FROM github.issue_comment UNION ALL SELECT 'repository' FROM github.repository
		UNION ALL SELECT 'issue' || labels::text || assignees::text || coalesce(' in ' || milestone_id, '') || coalesce(' closed by ' || closed_by_id, '')
		       || coalesce(' first ' || assignee_id, '') || ' ' || jsonb_array_length(payload->'labels') || (payload->'milestone'->>'id' IS NOT NULL)
		FROM github.issue ORDER BY 1`
	for _, c := range []struct {
		name  string
		table *schema.Table
		id    int64
		want  []string
	}{
		{"issue", schema.Issue, 1, []string{"label 11", "label 12", "milestone 31", "repository"}},
		{"comment", schema.IssueComment, 41, []string{"issue{bug,wish}{hubot} in 31 closed by 22 first 21 2true", "label 11", "label 12", "milestone 31", "repository"}},
		{"label", schema.Label, 11, []string{"comment 41", "issue{wish}{hubot} in 31 closed by 22 first 21 1true", "label 12", "milestone 31", "repository"}},
		{"milestone", schema.Milestone, 31, []string{"comment 41", "issue{bug,wish}{hubot} closed by 22 first 21 2false", "label 11", "label 12", "repository"}},
		{"account", schema.Account, 21, []string{"comment 41", "issue{bug,wish}{} in 31 closed by 22 2true", "label 11", "label 12", "milestone 31", "repository"}},
		{"repository", schema.Repository, repositoryOne, nil},
		{"unknown", schema.Issue, 999, []string{"comment 41", "issue{bug,wish}{hubot} in 31 closed by 22 first 21 2true", "label 11", "label 12", "milestone 31", "repository"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pool, _, _ := furnished(t)
			if err := remove(t, pool, c.table, c.id); err != nil {
				t.Fatal(err)
			}
			if got := query(t, pool, everything); !slices.Equal(got, c.want) {
				t.Errorf("left: %q\nwant: %q", got, c.want)
			}
			if got := query(t, pool, `SELECT id::text FROM pghub.tombstone WHERE table_name = $1 AND id = $2`, c.table.Name, c.id); len(got) != 1 {
				t.Errorf("no tombstone")
			}
		})
	}
}

// TestTombstonesAreNotRevived stores late answers about rows that are gone.
func TestTombstonesAreNotRevived(t *testing.T) {
	t.Parallel()
	pool, _, rows := furnished(t)
	if err := remove(t, pool, schema.Issue, 1, 2); err != nil {
		t.Fatal(err)
	}
	if err := remove(t, pool, schema.Milestone, 31); err != nil {
		t.Fatal(err)
	}
	late := append(slices.Clone(rows), rowsOf(t, schema.Issue, issueObject(2, 2, octocat), one)...)
	if r := upsert(t, pool, late...); r.Changed != 0 || len(r.Deferred) != 0 {
		t.Errorf("a late answer had an effect: changed %d, deferred %v", r.Changed, r.Deferred)
	}
	// Another issue that still names the deleted milestone is read again rather than stored with a hole.
	other := rowsOf(t, schema.Issue, issueObject(3, 3, octocat).with(object{"milestone": milestoneObject(31, octocat)}), one)
	if r := upsert(t, pool, other...); len(r.Deferred) != 1 || r.Deferred[0].ID() != 3 {
		t.Errorf("got %+v", r)
	}
}

func TestDeleteDoesNotWait(t *testing.T) {
	t.Parallel()
	pool, url, _ := furnished(t)
	ctx := testContext(t)
	client := connect(t, url)
	for _, c := range []struct {
		held  string
		table *schema.Table
		id    int64
	}{
		{`SELECT FROM github.issue FOR UPDATE`, schema.Issue, 1},
		{`SELECT FROM github.issue_comment FOR UPDATE`, schema.Issue, 1},
		{`SELECT FROM github.issue FOR UPDATE`, schema.Label, 11},
		{`SELECT FROM github.issue FOR UPDATE`, schema.Milestone, 31},
	} {
		tx, err := client.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		exec(t, tx, c.held)
		if err := remove(t, pool, c.table, c.id); !errors.Is(err, schema.ErrLocked) {
			t.Errorf("%s %d with %s: got %v", c.table.Name, c.id, c.held, err)
		}
		if err := tx.Rollback(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := remove(t, pool, schema.Issue, 1); err != nil {
		t.Errorf("after the locks are gone: %v", err)
	}
}

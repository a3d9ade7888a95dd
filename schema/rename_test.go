package schema_test

import (
	"testing"
	"time"

	"github.com/pghub/pghub/schema"
)

func TestLabelRename(t *testing.T) {
	t.Parallel()
	ctx, pool, url := mirror(t)
	two := schema.Scope{RepositoryID: repositoryTwo}
	upsert(t, pool, rowsOf(t, schema.Repository, repositoryObject(repositoryTwo, octocat, "other"), schema.Scope{})...)
	bug, wish := labelObject(11, "bug"), labelObject(12, "wish")
	issue := func(id, number int64, s schema.Scope, labels ...object) {
		t.Helper()
		r := upsert(t, pool, rowsOf(t, schema.Issue, issueObject(id, number, octocat).with(object{"labels": labels}), s)...)
		if len(r.Deferred) > 0 {
			t.Fatalf("issue %d was deferred", id)
		}
	}
	issue(1, 1, one, wish, bug)
	issue(2, 2, one, wish)
	issue(3, 1, two, labelObject(21, "bug"))
	label := func(o object) schema.Row { return rowsOf(t, schema.Label, o, one)[0] }
	labels := func(want1, want2, want3 string) {
		t.Helper()
		for id, want := range map[int64]string{1: want1, 2: want2, 3: want3} {
			if got := stored(t, pool, schema.Issue, id, "labels"); got != want {
				t.Errorf("issue %d has labels %s, want %s", id, got, want)
			}
			const inPayload = `SELECT array_agg(l->>'name')::text FROM github.issue, jsonb_array_elements(payload->'labels') l WHERE id = $1`
			if got := query(t, pool, inPayload, id); got[0] != want {
				t.Errorf("the payload of issue %d has labels %s, want %s", id, got, want)
			}
		}
	}

	began := time.Now()
	upsert(t, pool, label(labelObject(11, "defect")))
	labels("{wish,defect}", "{wish}", "{bug}")

	// An issue fetched before the rename must not bring the old name back.
	late := issueObject(1, 1, octocat).with(object{"labels": []object{wish, bug}})
	if r := upsertFetched(t, pool, began.Add(-time.Second), rowsOf(t, schema.Issue, late, one)[3]); len(r.Deferred) != 1 {
		t.Errorf("an answer from before the rename: %+v", r)
	}
	labels("{wish,defect}", "{wish}", "{bug}")

	// Two labels trade their names in one list, then one after the other.
	upsert(t, pool, label(labelObject(11, "wish")), label(labelObject(12, "defect")))
	labels("{defect,wish}", "{defect}", "{bug}")
	upsert(t, pool, label(labelObject(11, "defect")))
	upsert(t, pool, label(labelObject(12, "wish")))
	labels("{wish,defect}", "{wish}", "{bug}")

	// The issue's own page brings the rename: label and issue are stored in one call.
	renamed := issueObject(1, 1, octocat).with(object{"labels": []object{wish, labelObject(11, "error")}})
	if r := upsert(t, pool, rowsOf(t, schema.Issue, renamed, one)...); len(r.Deferred) > 0 {
		t.Errorf("deferred %d rows", len(r.Deferred))
	}
	labels("{wish,error}", "{wish}", "{bug}")

	// While a client holds one of the issues, the label waits with it.
	client := connect(t, url)
	tx, err := client.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, tx, `SELECT FROM github.issue WHERE id = 2 FOR UPDATE`)
	r := upsert(t, pool, label(labelObject(12, "idea")), label(labelObject(11, "fault")))
	if len(r.Deferred) != 1 || r.Deferred[0].ID() != 12 {
		t.Errorf("got %+v, want the label of the held issue deferred", r)
	}
	labels("{wish,fault}", "{wish}", "{bug}")
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	upsert(t, pool, r.Deferred...)
	labels("{idea,fault}", "{idea}", "{bug}")
}

func TestAccountRename(t *testing.T) {
	t.Parallel()
	_, pool, _ := mirror(t)
	hubot := userObject(21, "hubot")
	upsert(t, pool, rowsOf(t, schema.Issue, issueObject(1, 1, octocat).with(object{"assignees": []object{octocat, hubot}}), one)...)
	upsert(t, pool, rowsOf(t, schema.Account, userObject(21, "robot").with(object{"bio": "beep"}), schema.Scope{})...)
	if got := stored(t, pool, schema.Issue, 1, "assignees"); got != "{octocat,robot}" {
		t.Errorf("assignees %s", got)
	}
	if got := query(t, pool, `SELECT (payload->'assignees'->1 ? 'bio')::text || (payload->'assignees'->1->>'url') FROM github.issue`); got[0] != "falsehttps://api.example/users/robot" {
		t.Errorf("the assignee in the payload: %s", got)
	}
	if got := query(t, pool, `SELECT login FROM github.issue_assignee ORDER BY account_id`); len(got) != 2 || got[0] != "robot" {
		t.Errorf("issue_assignee: %v", got)
	}
}

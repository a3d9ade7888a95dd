package schema_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghub/pghub/schema"
)

// TestViewsWriteTheArrays uses the owner's session: for it, the tables' own triggers stand aside and a write is local.
func TestViewsWriteTheArrays(t *testing.T) {
	t.Parallel()
	pool, _, _ := furnished(t)
	for _, c := range []struct {
		sql   string
		state string
		want  string // labels and assignees of the issue afterwards
	}{
		{`DELETE FROM github.issue_label WHERE name = 'bug'`, "", "{wish}{hubot}"},
		{`INSERT INTO github.issue_label (issue_id, name) VALUES (1, 'BUG')`, "", "{wish,bug}{hubot}"},
		{`INSERT INTO github.issue_label (issue_id, label_id) VALUES (1, 11)`, "", "{wish,bug}{hubot}"},
		{`INSERT INTO github.issue_label (issue_id, name) VALUES (1, 'brand new')`, "", `{wish,bug,"brand new"}{hubot}`},
		{`DELETE FROM github.issue_label WHERE issue_id = 1 AND label_id = 12`, "", `{bug,"brand new"}{hubot}`},
		{`INSERT INTO github.issue_label (issue_id, label_id) VALUES (1, 999)`, "23503", `{bug,"brand new"}{hubot}`},
		{`INSERT INTO github.issue_label (issue_id) VALUES (1)`, "23502", `{bug,"brand new"}{hubot}`},
		{`INSERT INTO github.issue_label (issue_id, name) VALUES (999, 'bug')`, "23503", `{bug,"brand new"}{hubot}`},
		{`INSERT INTO github.issue_assignee (issue_id, account_id) VALUES (1, 22)`, "", `{bug,"brand new"}{hubot,planner}`},
		{`INSERT INTO github.issue_assignee (issue_id, login) VALUES (1, 'OctoCat')`, "", `{bug,"brand new"}{hubot,planner,octocat}`},
		{`INSERT INTO github.issue_assignee (issue_id, login) VALUES (1, 'hubot')`, "", `{bug,"brand new"}{hubot,planner,octocat}`},
		{`DELETE FROM github.issue_assignee WHERE account_id = 21`, "", `{bug,"brand new"}{planner,octocat}`},
		{`INSERT INTO github.issue_assignee (issue_id, account_id) VALUES (1, 999)`, "23503", `{bug,"brand new"}{planner,octocat}`},
		{`INSERT INTO github.issue_assignee (issue_id, account_id, login) VALUES (1, 21, 'planner')`, "23503", `{bug,"brand new"}{planner,octocat}`},
		{`INSERT INTO github.issue_assignee (issue_id) VALUES (1)`, "23502", `{bug,"brand new"}{planner,octocat}`},
	} {
		_, err := pool.Exec(testContext(t), c.sql)
		state := ""
		var pg *pgconn.PgError
		if errors.As(err, &pg) {
			state = pg.Code
		} else if err != nil {
			t.Fatal(err)
		}
		if state != c.state {
			t.Errorf("%s: got %v, want SQLSTATE %q", c.sql, err, c.state)
		}
		if got := query(t, pool, `SELECT labels::text || assignees::text FROM github.issue WHERE id = 1`); got[0] != c.want {
			t.Errorf("%s: the issue has %s, want %s", c.sql, got[0], c.want)
		}
	}
	if got := query(t, pool, `INSERT INTO github.issue_label (issue_id, name) VALUES (1, 'wish') RETURNING label_id || ' ' || repository_id`); !slices.Equal(got, []string{"12 5000000001"}) {
		t.Errorf("RETURNING gave %v", got)
	}
}

func TestViewsShowIDs(t *testing.T) {
	t.Parallel()
	pool, _, _ := furnished(t)
	if got := query(t, pool, `SELECT issue_id || ' ' || label_id || ' ' || repository_id || ' ' || name FROM github.issue_label ORDER BY label_id`); !slices.Equal(got,
		[]string{"1 11 5000000001 bug", "1 12 5000000001 wish"}) {
		t.Errorf("issue_label: %q", got)
	}
	if got := query(t, pool, `SELECT issue_id || ' ' || account_id || ' ' || login FROM github.issue_assignee`); !slices.Equal(got, []string{"1 21 hubot"}) {
		t.Errorf("issue_assignee: %q", got)
	}
	if schema.ByName("issue") != schema.Issue || schema.ByName("no such table") != nil {
		t.Error("ByName")
	}
}

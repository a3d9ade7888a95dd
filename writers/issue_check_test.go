package writers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pghub/pghub/internal/ghapi"
)

// mirror is a Lookup over two maps.
type mirror struct {
	repositories map[int64]string
	milestones   map[int64][2]int64 // repository id, number
}

func (m mirror) Repository(_ context.Context, id int64) (string, error) {
	if name, ok := m.repositories[id]; ok {
		return name, nil
	}
	return "", fmt.Errorf("repository %d: %w", id, ErrNotFound)
}

func (m mirror) Milestone(_ context.Context, id int64) (int64, int, error) {
	if v, ok := m.milestones[id]; ok {
		return v[0], int(v[1]), nil
	}
	return 0, 0, ErrNotFound
}

// columns makes the jsonb form of a row.
func columns(t testing.TB, text string) map[string]json.RawMessage {
	t.Helper()
	if text == "" {
		return nil
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return m
}

const someIssue = `{"id":9007199254740993,"number":3,"repository_id":7,"node_id":"I_3","title":"Old","body":null,"state":"open","state_reason":null,
	"labels":["bug","C#"],"assignees":["ann"],"milestone_id":null,"locked":false,"active_lock_reason":null,"comments":2,"updated_at":"2026-01-01T00:00:00+00:00"}`

const closedLocked = `{"id":11,"number":4,"repository_id":7,"node_id":"I_4","title":"Old","body":"b","state":"closed","state_reason":"completed",
	"labels":[],"assignees":[],"milestone_id":51,"locked":true,"active_lock_reason":"spam"}`

func testMirror() mirror {
	return mirror{
		repositories: map[int64]string{7: "octo/repo", 8: "octo/other", 9: "bad"},
		milestones:   map[int64][2]int64{51: {7, 2}, 52: {8, 1}},
	}
}

func offline(t testing.TB) *Writers {
	t.Helper()
	api, err := ghapi.New(ghapi.Config{BaseURL: "http://127.0.0.1:1/"})
	if err != nil {
		t.Fatal(err)
	}
	return New(api, testMirror())
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", maxIssueBody)
	tests := []struct {
		name, op, old, new string
		code, says         string
	}{
		{"column of GitHub's", "update", someIssue, `{"comments":5}`, "428C9", `"comments"`},
		{"two of them", "update", someIssue, `{"number":5,"comments":5,"title":"x"}`, "428C9", `number`},
		{"payload", "update", someIssue, `{"payload":{}}`, "428C9", `"payload"`},
		{"move", "update", someIssue, `{"repository_id":8}`, "428C9", `"repository_id"`},
		{"insert with an id", "insert", "", `{"repository_id":7,"title":"x","id":5}`, "428C9", `"id"`},
		{"insert without a repository", "insert", "", `{"title":"x"}`, "23502", "repository_id"},
		{"insert into an unknown repository", "insert", "", `{"repository_id":99,"title":"x"}`, "23503", "99"},
		{"mirror with a broken name", "insert", "", `{"repository_id":9,"title":"x"}`, "XX000", ""},
		{"insert without a title", "insert", "", `{"repository_id":7,"title":null}`, "23502", "title"},
		{"insert with an empty title", "insert", "", `{"repository_id":7,"title":" \t"}`, "23514", "title"},
		{"no title", "update", someIssue, `{"title":null}`, "23502", "title"},
		{"U+0000", "update", someIssue, `{"body":"a\u0000b"}`, "22021", "body"},
		{"U+0000 in a label", "update", someIssue, `{"labels":["a\u0000b"]}`, "22021", "labels"},
		{"body too long", "update", someIssue, `{"body":"` + long + `a"}`, "23514", "65537"},
		{"state", "update", someIssue, `{"state":"done"}`, "23514", `"done"`},
		{"no state", "update", someIssue, `{"state":null}`, "23502", "state"},
		{"reason alone", "update", someIssue, `{"state_reason":"reopened"}`, "23514", "together with a change of state"},
		{"reason that is none", "update", someIssue, `{"state":"closed","state_reason":"bored"}`, "23514", `"bored"`},
		{"reason of the other state", "update", someIssue, `{"state":"closed","state_reason":"reopened"}`, "23514", `"reopened"`},
		{"other reason, still closed", "update", closedLocked, `{"state_reason":"not_planned"}`, "23514", "together with a change of state"},
		{"insert open with a reason", "insert", "", `{"repository_id":7,"title":"x","state":"open","state_reason":"reopened"}`, "23514", "together with a change of state"},
		{"no labels", "update", someIssue, `{"labels":null}`, "23502", "labels"},
		{"NULL among labels", "update", someIssue, `{"labels":["a",null]}`, "23502", "labels"},
		{"empty label", "update", someIssue, `{"labels":["a",""]}`, "23514", "labels"},
		{"labels of two dimensions", "update", someIssue, `{"labels":[["a"]]}`, "23514", "labels"},
		{"unknown milestone", "update", someIssue, `{"milestone_id":99}`, "23503", "99"},
		{"milestone of another repository", "update", someIssue, `{"milestone_id":52}`, "23514", "another repository"},
		{"lock that is none", "update", someIssue, `{"locked":null}`, "23502", "locked"},
		{"lock reason", "update", someIssue, `{"locked":true,"active_lock_reason":"boring"}`, "23514", `"boring"`},
		{"lock reason without a lock", "update", someIssue, `{"active_lock_reason":"spam"}`, "23514", "not locked"},
		{"lock reason with an unlock", "update", closedLocked, `{"locked":false,"active_lock_reason":"resolved"}`, "23514", "not locked"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := offline(t).Check(t.Context(), Change{Table: "issue", Op: Op(test.op), Old: columns(t, test.old), New: columns(t, test.new)})
			r, ok := errors.AsType[*Refusal](err)
			if !ok || r.SQLSTATE != test.code || !strings.Contains(r.Message+r.Detail, test.says) {
				t.Errorf("got %v, want %s saying %q", err, test.code, test.says)
			}
		})
	}
	if _, err := offline(t).Check(t.Context(), Change{Table: "label", Op: Update}); Refuse(err) == nil || Refuse(err).SQLSTATE != "55000" {
		t.Errorf("another table: %v", err)
	}
}

func TestCheckPlans(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, op, old, new string
		columns            string
		body               string // what is asked for, lock apart
	}{
		{"one field", "update", someIssue, `{"title":"New"}`, "title", `{"title":"New"}`},
		{"whole row reported", "update", someIssue, strings.Replace(someIssue, `"Old"`, `"New"`, 1), "title", `{"title":"New"}`},
		{"same labels in another order and case", "update", someIssue, `{"labels":["c#","Bug","BUG"]}`, "", `{}`},
		{"labels", "update", someIssue, `{"labels":["bug","bug","new"]}`, "labels", `{"labels":["bug","new"]}`},
		{"cleared", "update", closedLocked, `{"labels":[],"assignees":["bob"],"milestone_id":null,"body":null}`, "body assignees milestone_id", `{"assignees":["bob"],"body":null,"milestone":null}`},
		{"milestone by number", "update", someIssue, `{"milestone_id":51}`, "milestone_id", `{"milestone":2}`},
		{"close", "update", someIssue, `{"state":"closed","state_reason":"not_planned"}`, "state state_reason", `{"state":"closed","state_reason":"not_planned"}`},
		{"reopen, reason cleared", "update", closedLocked, `{"state":"open","state_reason":null}`, "state", `{"state":"open"}`},
		{"unlock, reason cleared", "update", closedLocked, `{"locked":false,"active_lock_reason":null}`, "locked", `{}`},
		{"another lock reason", "update", closedLocked, `{"active_lock_reason":"resolved"}`, "active_lock_reason", `{}`},
		{"longest body", "update", someIssue, `{"body":"` + strings.Repeat("ä", maxIssueBody) + `"}`, "body", `{"body":"` + strings.Repeat("ä", maxIssueBody) + `"}`},
		{"insert with defaults", "insert", "", `{"id":null,"repository_id":7,"title":"x","body":null,"state":"open","labels":[],"assignees":[],"locked":false,"payload":null}`, "title", `{"title":"x"}`},
		{"insert with all", "insert", "", `{"repository_id":7,"title":"x","body":"","state":"closed","state_reason":"completed","labels":["a"],"assignees":["b"],"milestone_id":51,"locked":true,"active_lock_reason":"too heated"}`,
			"title body state state_reason labels assignees milestone_id locked active_lock_reason", `{"assignees":["b"],"body":"","labels":["a"],"milestone":2,"state":"closed","state_reason":"completed","title":"x"}`},
		{"delete", "delete", someIssue, "", "", `{}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, err := offline(t).Check(t.Context(), Change{Table: "issue", Op: Op(test.op), Old: columns(t, test.old), New: columns(t, test.new)})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(p.Columns, " "); got != test.columns {
				t.Errorf("columns %s, want %s", got, test.columns)
			}
			body, err := json.Marshal(changedFields(p, p.want.(*issueWant)))
			if err != nil || !sameJSON(body, json.RawMessage(test.body)) {
				t.Errorf("body %s, want %s", body, test.body)
			}
			if p.NoOp != (test.op == "update" && test.columns == "") || p.RepositoryID != 7 || p.FullName != "octo/repo" {
				t.Errorf("planned %+v", p)
			}
			if test.op != "insert" && test.old == someIssue && (p.ID != 9007199254740993 || p.Number != 3) {
				t.Errorf("id %d number %d", p.ID, p.Number)
			}
			var sent []string
			for column := range p.Values() {
				sent = append(sent, column)
			}
			if want := len(p.Columns); test.op == "insert" && (len(sent) != want+1 || !slices.Contains(sent, "repository_id")) || test.op != "insert" && len(sent) != want {
				t.Errorf("values of %v", sent)
			}
		})
	}
}

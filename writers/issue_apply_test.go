package writers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/githubsim"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	res, err := v.insert(v.w, `{"title":"It works","body":"from psql","labels":["bug","brand new"],"assignees":["ann"],"milestone_id":"v1","state":"open","locked":false}`)
	if err != nil {
		t.Fatal(err)
	}
	v.wantRequests("POST issues")
	number := res.Row.Get("number").(int64)
	got := v.issue(number)
	if got.Title != "It works" || *got.Body != "from psql" || !slices.Equal(got.Labels, []string{"brand new", "bug"}) && !slices.Equal(got.Labels, []string{"bug", "brand new"}) ||
		!slices.Equal(got.Assignees, []string{"ann"}) || *got.Milestone != v.mile.Number {
		t.Errorf("GitHub has %+v", got)
	}
	if res.Row.ID() != got.ID || res.Row.Get("repository_id") != v.repo.ID || res.Row.Get("milestone_id") != v.mile.ID || len(res.RequestIDs) != 1 || res.Requests != 1 || res.StartedAt.IsZero() {
		t.Errorf("result %+v", res)
	}
	tables := map[string]bool{}
	for _, r := range res.Referenced {
		tables[r.Table.Name] = true
	}
	if !tables["account"] || !tables["label"] || !tables["milestone"] {
		t.Errorf("referenced rows of %v", tables)
	}
}

func TestCreateClosedAndLocked(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	res, err := v.insert(v.w, `{"title":"x","state":"closed","state_reason":"not_planned","locked":true,"active_lock_reason":"too heated"}`)
	if err != nil {
		t.Fatal(err)
	}
	number := res.Row.Get("number").(int64)
	v.wantRequests(fmt.Sprintf("POST issues, PATCH issues/%d, PUT issues/%d/lock, GET issues/%[1]d", number, number))
	for column, want := range map[string]any{"state": "closed", "state_reason": "not_planned", "locked": true, "active_lock_reason": "too heated"} {
		if got := res.Row.Get(column); got != want {
			t.Errorf("%s is %v, want %v", column, got, want)
		}
	}
	if got := v.issue(number); got.State != "closed" || !got.Locked || *got.LockReason != "too heated" {
		t.Errorf("GitHub has %+v", got)
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, new, body string
		requests        string
		row             map[string]any
	}{
		{"title", `{"title":"New <&> title"}`, `{"title":"New <&> title"}`, "PATCH issues/1", map[string]any{"title": "New <&> title"}},
		{"body removed", `{"body":null}`, `{"body":null}`, "PATCH issues/1", map[string]any{"body": nil}},
		{"close", `{"state":"closed"}`, `{"state":"closed"}`, "PATCH issues/1", map[string]any{"state": "closed", "state_reason": "completed"}},
		{"close as duplicate", `{"state":"closed","state_reason":"duplicate"}`, `{"state":"closed","state_reason":"duplicate"}`, "PATCH issues/1", map[string]any{"state_reason": "duplicate"}},
		{"sets", `{"labels":[],"assignees":["ann"],"milestone_id":"v1"}`, "", "PATCH issues/1", map[string]any{"locked": false}},
		{"lock", `{"locked":true,"active_lock_reason":"spam"}`, `{"lock_reason":"spam"}`, "PUT issues/1/lock, GET issues/1", map[string]any{"locked": true, "active_lock_reason": "spam"}},
		{"lock without a reason", `{"locked":true}`, ``, "PUT issues/1/lock, GET issues/1", map[string]any{"locked": true, "active_lock_reason": nil}},
		{"title and lock", `{"title":"n","locked":true}`, `{"title":"n"}`, "PATCH issues/1, PUT issues/1/lock, GET issues/1", map[string]any{"locked": true, "title": "n"}},
		{"nothing", `{"labels":["BUG"]}`, "", "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			res, err := v.update(v.w, 1, test.new)
			if err != nil {
				t.Fatal(err)
			}
			v.wantRequests(test.requests)
			if test.body != "" {
				if got := v.sim.Requests()[0].Body; !sameJSON(json.RawMessage(got), json.RawMessage(test.body)) {
					t.Errorf("body %s, want %s", got, test.body)
				}
			}
			for column, want := range test.row {
				if got := res.Row.Get(column); got != want {
					t.Errorf("%s is %v, want %v", column, got, want)
				}
			}
			if test.requests == "" && (res.Row != nil || res.Requests != 0) {
				t.Errorf("nothing to do, but result %+v", res)
			}
		})
	}
}

func TestLockChanges(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	locked := true
	if _, err := v.sim.EditIssue(repoName, 1, "", githubsim.IssueEdit{Locked: &locked, LockReason: "spam"}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		new    string
		locked bool
		reason any
	}{
		{`{"active_lock_reason":"resolved"}`, true, "resolved"},
		{`{"active_lock_reason":null}`, true, nil},
		{`{"locked":false}`, false, nil},
	} {
		res, err := v.update(v.w, 1, step.new)
		if err != nil {
			t.Fatal(err)
		}
		if res.Row.Get("locked") != step.locked || res.Row.Get("active_lock_reason") != step.reason {
			t.Errorf("%s gave locked %v for %v", step.new, res.Row.Get("locked"), res.Row.Get("active_lock_reason"))
		}
	}
}

// A GitHub that keeps the reason of an existing lock gets the lock taken off
// and put on again.
func TestLockReasonThatSticks(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	locked := true
	if _, err := v.sim.EditIssue(repoName, 1, "", githubsim.IssueEdit{Locked: &locked, LockReason: "spam"}); err != nil {
		t.Fatal(err)
	}
	v.sim.AddFault(githubsim.Fault{Method: "PUT", Path: "/repos/**/lock", Status: 204, Count: 1})
	res, err := v.update(v.w, 1, `{"active_lock_reason":"resolved"}`)
	if err != nil {
		t.Fatal(err)
	}
	if res.Row.Get("active_lock_reason") != "resolved" || v.sim.CountRequests("DELETE", "/repos/**/lock") != 1 {
		t.Errorf("got %v after %s", res.Row.Get("active_lock_reason"), v.requests())
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	del := func(w *Writers, old map[string]json.RawMessage) (Result, error) {
		return w.Apply(t.Context(), v.plan(w, Change{Op: Delete, Old: old}))
	}
	row := v.row(1)
	_, err := del(v.user("pusher", githubsim.Push), row)
	refused(t, err, "42501", "deleting issue octo/repo#1", "admin")
	if v.issue(1).State != "open" {
		t.Error("the issue was closed instead")
	}
	v.sim.ResetRequests()
	res, err := del(v.w, row)
	if err != nil || !res.Deleted || res.Row != nil || len(res.RequestIDs) != 1 {
		t.Fatalf("%+v %v", res, err)
	}
	v.wantRequests("POST graphql")
	if v.count() != 0 {
		t.Error("the issue is still there")
	}
	// Somebody else was faster: the row disappears all the same.
	if res, err := del(v.w, row); err != nil || !res.Deleted {
		t.Errorf("deleting again: %+v %v", res, err)
	}
}

func TestRefusedByGitHub(t *testing.T) {
	t.Parallel()
	type setup struct {
		*world
		w *Writers
	}
	limited := `{"message":"You have exceeded a secondary rate limit.","documentation_url":"x"}`
	tests := []struct {
		name    string
		prepare func(s *setup)
		new     string
		code    string
		says    []string
	}{
		{"422", func(*setup) {}, `{"title":"` + strings.Repeat("x", 300) + `"}`, "23514", []string{"title is too long (maximum is 256 characters)", "Validation Failed", "changing issue octo/repo#1"}},
		{"422 for an assignee", func(*setup) {}, `{"assignees":["nobody"]}`, "23514", []string{"assignees", "nobody"}},
		{"403", func(s *setup) {
			token, err := s.sim.AddFineGrainedToken("bob", map[string]githubsim.Permission{repoName: githubsim.Push}, map[string]string{"issues": "read"})
			if err != nil {
				t.Fatal(err)
			}
			s.w = s.writers(token)
		}, `{"title":"x"}`, "42501", []string{"issues=write"}},
		{"401", func(s *setup) { s.sim.RevokeToken(s.sim.Token()) }, `{"title":"x"}`, "42501", []string{"token", "Bad credentials"}},
		{"404", func(s *setup) {
			private := true
			if err := s.sim.SetRepository(repoName, githubsim.RepositorySettings{Private: &private}); err != nil {
				t.Fatal(err)
			}
			s.w = s.user("stranger", githubsim.None)
		}, `{"title":"x"}`, "42704", []string{"404"}},
		{"410", func(s *setup) {
			if err := s.sim.DeleteIssue(repoName, 1); err != nil {
				t.Fatal(err)
			}
		}, `{"title":"x"}`, "55000", []string{"410"}},
		{"301", func(s *setup) {
			if _, err := s.sim.CreateRepository("octo/other", false); err != nil {
				t.Fatal(err)
			}
			if _, err := s.sim.TransferIssue(repoName, 1, "octo/other"); err != nil {
				t.Fatal(err)
			}
		}, `{"title":"x"}`, "55000", []string{"New place: http"}},
		{"secondary limit", func(s *setup) { s.sim.AddFault(githubsim.Fault{Method: "PATCH", Status: 403, Body: limited, Count: 1}) }, `{"title":"x"}`, "53400", []string{"Retry after 20"}},
		{"primary limit", func(s *setup) { s.sim.SetRemaining(s.sim.Login(), "core", 0) }, `{"title":"x"}`, "53400", []string{"Retry after 20"}},
		{"unreachable", func(s *setup) {
			s.w = s.writers(s.sim.Token(), func(c *ghapi.Config) { c.BaseURL = "http://127.0.0.1:1/" })
		}, `{"title":"x"}`, "08006", []string{"refused"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			row := v.row(1)
			s := &setup{v, v.w}
			test.prepare(s)
			s.sim.ResetRequests()
			before, beforeErr := v.sim.Issue(repoName, 1)
			res, err := s.w.Apply(t.Context(), v.plan(s.w, Change{Op: Update, Old: row, New: columns(t, test.new)}))
			refused(t, err, test.code, test.says...)
			var timed interface{ RetryTime() time.Time }
			if errors.As(err, &timed) && timed.RetryTime().After(time.Now()) != (test.code == "53400") {
				t.Errorf("time to retry: %v", timed.RetryTime())
			}
			if res.Row != nil || res.Deleted {
				t.Errorf("a refusal left %+v", res)
			}
			if n := len(v.sim.Requests()); n > 1 {
				t.Errorf("requests %s", v.requests())
			}
			if after, err := v.sim.Issue(repoName, 1); beforeErr == nil && (err != nil || after.Title != before.Title) {
				t.Errorf("the issue changed: %+v %v", after, err)
			}
		})
	}
}

func TestSilentDropIsAnError(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	reader := v.user("reader", githubsim.Read)
	res, err := v.insert(reader, `{"title":"mine","labels":["bug"],"assignees":["ann"],"milestone_id":"v1"}`)
	r := refused(t, err, "42501", "was created", "labels without bug", "assignees without ann", "milestone_id unchanged", "push access")
	if res.Row == nil || res.Row.Get("title") != "mine" || v.count() != 2 {
		t.Errorf("the created row is not told: %+v, %v", res, r)
	}
	number := res.Row.Get("number").(int64)
	res, err = v.update(reader, number, `{"title":"still mine","labels":["bug"]}`)
	refused(t, err, "42501", fmt.Sprintf("issue octo/repo#%d", number), "labels without bug", "were stored")
	if res.Row == nil || res.Row.Get("title") != "still mine" {
		t.Errorf("the changed row is not told: %+v", res)
	}
}

func TestPartlyCreated(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	v.sim.AddFault(githubsim.Fault{Method: "PATCH", Status: 422, Body: `{"message":"Validation Failed","errors":[{"resource":"Issue","field":"state","code":"invalid"}],"documentation_url":"https://docs.github.com/rest"}`})
	res, err := v.insert(v.w, `{"title":"half","state":"closed"}`)
	refused(t, err, "23514", "closing issue octo/repo#2", "issue octo/repo#2 was created", "Issue.state: invalid")
	if res.Row == nil || res.Row.Get("state") != "open" || res.Row.Get("number") != int64(2) {
		t.Errorf("what was created is not told: %+v", res.Row)
	}
	v.sim.AddFault(githubsim.Fault{Method: "PUT", Status: 403, Body: `{"message":"Must have admin rights"}`})
	res, err = v.update(v.w, 2, `{"title":"whole","locked":true}`)
	if code := Refuse(err).SQLSTATE; code != "23514" { // the PATCH comes first and still fails
		t.Errorf("got %s: %v", code, err)
	}
	v.sim.RemoveFault(0)
	v.sim.AddFault(githubsim.Fault{Method: "PUT", Status: 403, Body: `{"message":"Must have admin rights"}`})
	res, err = v.update(v.w, 2, `{"title":"whole","locked":true}`)
	refused(t, err, "42501", "locking issue octo/repo#2", "other changes of issue octo/repo#2 were stored")
	if res.Row == nil || res.Row.Get("title") != "whole" || res.Row.Get("locked") != false {
		t.Errorf("what was stored is not told: %+v", res.Row)
	}
}

func TestRenamedRepository(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	row := v.row(1)
	if err := v.sim.RenameRepository(repoName, "octo/new"); err != nil {
		t.Fatal(err)
	}
	res, err := v.w.Apply(t.Context(), v.plan(v.w, Change{Op: Update, Old: row, New: columns(t, `{"title":"n","locked":true}`)}))
	if err != nil || res.Row.Get("title") != "n" || res.Row.Get("locked") != true {
		t.Fatalf("%+v %v", res.Row, err)
	}
	if res, err := v.insert(v.w, `{"title":"after the rename"}`); err != nil || res.Row.Get("title") != "after the rename" {
		t.Fatalf("%+v %v", res.Row, err)
	}
	if res, err := v.w.Fetch(t.Context(), "issue", v.repo.ID, v.old.ID, 1); err != nil || res.Deleted || res.Row.Get("title") != "n" {
		t.Errorf("fetch: %+v %v", res, err)
	}
	// Another repository takes the name: its issue 1 is not ours.
	if _, err := v.sim.CreateRepository(repoName, false); err != nil {
		t.Fatal(err)
	}
	title := "a stranger"
	if _, err := v.sim.CreateIssue(repoName, "", githubsim.IssueEdit{Title: &title}); err != nil {
		t.Fatal(err)
	}
	_, err = v.w.Fetch(t.Context(), "issue", v.repo.ID, v.old.ID, 1)
	refused(t, err, "42704")
	res, err = v.w.Apply(t.Context(), v.plan(v.w, Change{Op: Update, Old: row, New: columns(t, `{"title":"wrong one"}`)}))
	refused(t, err, "40001", "belongs to another one")
	if res.Row != nil {
		t.Errorf("the other issue counts as the row: %+v", res.Row)
	}
}

func TestCancelBetweenRequests(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	w := v.writers(v.sim.Token(), func(c *ghapi.Config) { c.WriteInterval = time.Hour })
	if _, err := v.update(w, 1, `{"title":"first"}`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := w.Apply(ctx, v.plan(w, Change{Op: Update, Old: v.row(1), New: columns(t, `{"title":"second"}`)}))
	refused(t, err, "57014")
	v.wantRequests("PATCH issues/1")
}

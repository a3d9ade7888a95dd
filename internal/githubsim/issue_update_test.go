package githubsim_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/githubsim"
)

func labelNames(issue map[string]any) []string {
	out := []string{}
	for _, l := range issue["labels"].([]any) {
		out = append(out, l.(map[string]any)["name"].(string))
	}
	return out
}

// box is empty with a clock of its own and one issue, number 1.
func box(t testing.TB) (*client, *clock) {
	t.Helper()
	k := newClock()
	c := newClient(t, githubsim.Config{Now: k.now})
	if _, err := c.sim.CreateRepository("octavia/box", false); err != nil {
		t.Fatal(err)
	}
	c.do(201, "POST", "/repos/octavia/box/issues", map[string]any{"title": "one", "labels": []string{"bug"}})
	k.advance(time.Minute)
	return c, k
}

func TestUpdateIssue(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	for name, tc := range map[string]struct {
		before, patch m
		want          m    // members of the answer
		still         bool // updated_at stays
	}{
		"title":                       {nil, m{"title": "two"}, m{"title": "two", "state": "open"}, false},
		"body to null":                {m{"body": "x"}, m{"body": nil}, m{"body": nil}, false},
		"same values":                 {nil, m{"title": "one", "labels": []string{"BUG"}}, m{"title": "one"}, true},
		"close":                       {nil, m{"state": "closed"}, m{"state": "closed", "state_reason": "completed"}, false},
		"close as not planned":        {nil, m{"state": "closed", "state_reason": "not_planned"}, m{"state_reason": "not_planned"}, false},
		"reason without a change":     {nil, m{"state_reason": "not_planned"}, m{"state": "open", "state_reason": nil}, true},
		"other reason while closed":   {m{"state": "closed"}, m{"state": "closed", "state_reason": "duplicate"}, m{"state_reason": "completed"}, true},
		"reopen":                      {m{"state": "closed"}, m{"state": "open"}, m{"state_reason": "reopened", "closed_at": nil, "closed_by": nil}, false},
		"nothing":                     {nil, m{}, m{"title": "one"}, true},
		"fields GitHub does not know": {nil, m{"repository_id": 7}, m{"title": "one"}, true},
		"null title is not given":     {nil, m{"title": nil}, m{"title": "one"}, true},
		"title as a number":           {nil, m{"title": 42}, m{"title": "42"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, k := box(t)
			if tc.before != nil {
				c.do(200, "PATCH", "/repos/octavia/box/issues/1", tc.before)
				k.advance(time.Minute)
			}
			before := c.do(200, "GET", "/repos/octavia/box/issues/1", nil).object(t)
			after := c.do(200, "PATCH", "/repos/octavia/box/issues/1", tc.patch).object(t)
			for key, want := range tc.want {
				if fmt.Sprint(after[key]) != fmt.Sprint(want) {
					t.Errorf("%s is %v, want %v", key, after[key], want)
				}
			}
			if same := before["updated_at"] == after["updated_at"]; same != tc.still {
				t.Errorf("updated_at went from %v to %v", before["updated_at"], after["updated_at"])
			}
			again := c.do(200, "GET", "/repos/octavia/box/issues/1", nil).object(t)
			if fmt.Sprint(again) != fmt.Sprint(after) {
				t.Errorf("GET says %v, PATCH said %v", again, after)
			}
		})
	}
}

func TestSetsAreReplaced(t *testing.T) {
	t.Parallel()
	c, _ := box(t)
	if _, err := c.sim.AddUser("priya", map[string]githubsim.Permission{"octavia/box": githubsim.Push}); err != nil {
		t.Fatal(err)
	}
	const path = "/repos/octavia/box/issues/1"
	got := c.do(200, "PATCH", path, map[string]any{"labels": []string{"Question", "question", "new"}, "assignees": []string{"priya", "OCTAVIA"}}).object(t)
	if names := labelNames(got); !slices.Equal(names, []string{"question", "new"}) {
		t.Errorf("labels %q", names)
	}
	if n := len(got["assignees"].([]any)); n != 2 {
		t.Errorf("%d assignees", n)
	}
	got = c.do(200, "PATCH", path, map[string]any{"labels": []string{}, "assignees": []string{}}).object(t)
	if len(labelNames(got)) != 0 || len(got["assignees"].([]any)) != 0 || got["assignee"] != nil {
		t.Errorf("[] did not clear: %v", got)
	}
}

// Somebody without push access may write issues, but what needs push is dropped
// in silence.
func TestSilentDrops(t *testing.T) {
	t.Parallel()
	c, _ := box(t)
	if _, err := c.sim.CreateMilestone("octavia/box", "v1"); err != nil {
		t.Fatal(err)
	}
	token, err := c.sim.AddUser("visitor", nil)
	if err != nil {
		t.Fatal(err)
	}
	visitor := c.as(token)
	wish := map[string]any{"title": "mine", "labels": []string{"bug"}, "assignees": []string{"octavia"}, "milestone": 1}
	for _, got := range []map[string]any{
		visitor.do(201, "POST", "/repos/octavia/box/issues", wish).object(t),
		visitor.do(200, "PATCH", "/repos/octavia/box/issues/2", wish).object(t),
	} {
		if got["title"] != "mine" || len(labelNames(got)) != 0 || len(got["assignees"].([]any)) != 0 || got["milestone"] != nil {
			t.Errorf("not dropped: %v", got)
		}
	}
	visitor.do(200, "PATCH", "/repos/octavia/box/issues/2", map[string]any{"state": "closed"})
	r := visitor.do(403, "PATCH", "/repos/octavia/box/issues/1", map[string]any{"title": "not mine"})
	if r.header.Get("X-Accepted-GitHub-Permissions") == "" {
		t.Error("a refusal for lack of permission does not name the permission")
	}
	visitor.do(403, "PUT", "/repos/octavia/box/issues/1/lock", nil)
	visitor.do(403, "POST", "/repos/octavia/box/labels", map[string]any{"name": "x"})
	c.as("").do(401, "POST", "/repos/octavia/box/issues", map[string]any{"title": "x"})
	c.as("nonsense").do(401, "GET", "/user", nil)
}

func TestTokensAndVisibility(t *testing.T) {
	t.Parallel()
	c, _ := box(t)
	if _, err := c.sim.CreateRepository("octavia/secret", true); err != nil {
		t.Fatal(err)
	}
	stranger, err := c.sim.AddUser("stranger", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.as(stranger).do(404, "GET", "/repos/octavia/secret", nil)
	c.as(stranger).do(404, "POST", "/repos/octavia/secret/issues", map[string]any{"title": "x"})
	if rows := c.as(stranger).do(200, "GET", "/user/repos", nil).list(t); len(rows) != 0 {
		t.Errorf("a stranger's repositories: %v", column[string](rows, "full_name"))
	}
	readOnly, err := c.sim.AddFineGrainedToken("octavia", nil, map[string]string{"issues": "read"})
	if err != nil {
		t.Fatal(err)
	}
	c.as(readOnly).do(200, "GET", "/repos/octavia/secret/issues", nil)
	r := c.as(readOnly).do(403, "POST", "/repos/octavia/secret/issues", map[string]any{"title": "x"})
	if got := r.header.Get("X-Accepted-GitHub-Permissions"); got != "issues=write" {
		t.Errorf("X-Accepted-GitHub-Permissions is %q", got)
	}
	c.sim.RevokeToken(readOnly)
	c.as(readOnly).do(401, "GET", "/repos/octavia/secret/issues", nil)
}

func TestLock(t *testing.T) {
	t.Parallel()
	c, _ := box(t)
	const path = "/repos/octavia/box/issues/1"
	for _, body := range []any{nil, "null", map[string]any{}, map[string]any{"lock_reason": "too heated"}} {
		r := c.do(204, "PUT", path+"/lock", body)
		if len(r.body) != 0 {
			t.Errorf("204 with a body: %s", r.body)
		}
	}
	got := c.do(200, "GET", path, nil).object(t)
	if got["locked"] != true || got["active_lock_reason"] != "too heated" {
		t.Errorf("after locking: %v %v", got["locked"], got["active_lock_reason"])
	}
	visitor, err := c.sim.AddUser("visitor", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.as(visitor).do(403, "POST", path+"/comments", map[string]any{"body": "hello?"})
	c.do(204, "DELETE", path+"/lock", nil)
	got = c.do(200, "GET", path, nil).object(t)
	if got["locked"] != false || got["active_lock_reason"] != nil {
		t.Errorf("after unlocking: %v %v", got["locked"], got["active_lock_reason"])
	}
}

// The clock may go back; updated_at does not.
func TestUpdatedAtNeverGoesBack(t *testing.T) {
	t.Parallel()
	c, k := box(t)
	first := c.do(200, "PATCH", "/repos/octavia/box/issues/1", map[string]any{"title": "two"}).object(t)["updated_at"].(string)
	k.advance(-time.Hour)
	second := c.do(200, "PATCH", "/repos/octavia/box/issues/1", map[string]any{"title": "three"}).object(t)["updated_at"].(string)
	if second != first {
		t.Errorf("updated_at went from %s to %s", first, second)
	}
	c.do(200, "GET", "/repos/octavia/box/issues/1", nil)
}

func TestLaterAPIVersion(t *testing.T) {
	t.Parallel()
	c, _ := box(t)
	r := c.do(200, "GET", "/repos/octavia/box/issues/1", nil, "X-GitHub-Api-Version", "2026-03-10")
	if _, has := r.object(t)["assignee"]; has || r.header.Get("X-GitHub-Api-Version-Selected") != "2026-03-10" {
		t.Error("the later API version still has assignee")
	}
	c.do(400, "GET", "/repos/octavia/box/issues/1", nil, "X-GitHub-Api-Version", "1999-01-01")
}

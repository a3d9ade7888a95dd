package githubsim_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pghub/pghub/internal/githubsim"
)

func TestMilestones(t *testing.T) {
	t.Parallel()
	c, _ := box(t)
	const path = "/repos/octavia/box/milestones"
	m := c.do(201, "POST", path, map[string]any{"title": "v1", "due_on": "2027-05-06T23:59:59Z"}).object(t)
	if m["number"] != 1.0 || m["due_on"] != "2027-05-06T07:00:00Z" || m["open_issues"] != 0.0 || m["id"].(float64) <= 1<<32 {
		t.Errorf("created %v", m)
	}
	c.do(201, "POST", path, map[string]any{"title": "v2", "due_on": "2026-01-01T00:00:00Z"})
	c.do(201, "POST", path, map[string]any{"title": "someday"})
	if r := c.do(422, "POST", path, map[string]any{"title": "v1"}); !strings.Contains(string(r.body), "already_exists") {
		t.Errorf("the same title again: %s", r.body)
	}
	if got := column[string](c.all(path), "title"); !slices.Equal(got, []string{"v2", "v1", "someday"}) {
		t.Errorf("by due date: %q", got)
	}

	const issue = "/repos/octavia/box/issues/1"
	c.do(200, "PATCH", issue, map[string]any{"milestone": "1"}) // a string will do
	c.do(200, "PATCH", issue, map[string]any{"state": "closed"})
	if m = c.do(200, "GET", path+"/1", nil).object(t); m["open_issues"] != 0.0 || m["closed_issues"] != 1.0 {
		t.Errorf("counts after closing: %v open, %v closed", m["open_issues"], m["closed_issues"])
	}
	if got := column[string](c.all(path+"/1/labels"), "name"); !slices.Equal(got, []string{"bug"}) {
		t.Errorf("labels of the milestone's issues: %q", got)
	}
	c.do(200, "PATCH", path+"/1", map[string]any{"state": "closed", "description": nil})
	if got := column[string](c.all(path+"?state=closed"), "title"); !slices.Equal(got, []string{"v1"}) {
		t.Errorf("closed milestones: %q", got)
	}
	c.do(204, "DELETE", path+"/1", nil)
	c.do(404, "GET", path+"/1", nil)
	if got := c.do(200, "GET", issue, nil).object(t)["milestone"]; got != nil {
		t.Errorf("the issue kept the deleted milestone %v", got)
	}
	if n := c.do(201, "POST", path, map[string]any{"title": "v3"}).object(t)["number"]; n != 4.0 {
		t.Errorf("a milestone's number was given out again: %v", n)
	}
}

func TestComments(t *testing.T) {
	t.Parallel()
	c, k := box(t)
	token, err := c.sim.AddUser("visitor", nil)
	if err != nil {
		t.Fatal(err)
	}
	visitor := c.as(token)
	m := visitor.do(201, "POST", "/repos/octavia/box/issues/1/comments", map[string]any{"body": "hello \u0000 🎉"}).object(t)
	if m["body"] != "hello \u0000 🎉" || !strings.HasSuffix(m["issue_url"].(string), "/repos/octavia/box/issues/1") {
		t.Errorf("created %v", m)
	}
	issue := c.do(200, "GET", "/repos/octavia/box/issues/1", nil).object(t)
	if issue["comments"] != 1.0 || issue["updated_at"] != m["created_at"] {
		t.Errorf("the issue has %v comments, updated %v", issue["comments"], issue["updated_at"])
	}
	path := strings.TrimPrefix(m["url"].(string), c.sim.URL)
	k.advance(1e12)
	edited := visitor.do(200, "PATCH", path, map[string]any{"body": "edited"}).object(t)
	if edited["body"] != "edited" || edited["updated_at"] == edited["created_at"] {
		t.Errorf("edited %v", edited)
	}
	c.do(200, "PATCH", path, map[string]any{"body": "by a maintainer"})
	for _, body := range []map[string]any{{"body": " "}, {"body": strings.Repeat("x", 65_537)}, {"body": nil}, {}} {
		c.do(422, "PATCH", path, body)
	}
	other, err := c.sim.AddUser("other", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.as(other).do(403, "DELETE", path, nil)
	visitor.do(204, "DELETE", path, nil)
	c.do(404, "GET", path, nil)
	if issue = c.do(200, "GET", "/repos/octavia/box/issues/1", nil).object(t); issue["comments"] != 0.0 {
		t.Errorf("after the deletion: %v comments", issue["comments"])
	}
}

func TestAssignees(t *testing.T) {
	t.Parallel()
	c, _ := box(t)
	for _, login := range []string{"amy", "bob"} {
		if _, err := c.sim.AddUser(login, map[string]githubsim.Permission{"octavia/box": githubsim.Read}); err != nil {
			t.Fatal(err)
		}
	}
	if got := column[string](c.all("/repos/octavia/box/assignees"), "login"); !slices.Equal(got, []string{"amy", "bob", "octavia"}) {
		t.Errorf("assignable: %q", got)
	}
	c.do(204, "GET", "/repos/octavia/box/assignees/amy", nil)
	c.do(404, "GET", "/repos/octavia/box/assignees/dependabot%5Bbot%5D", nil)
	const path = "/repos/octavia/box/issues/1/assignees"
	logins := func(issue map[string]any) []string {
		out := []string{}
		for _, u := range issue["assignees"].([]any) {
			out = append(out, u.(map[string]any)["login"].(string))
		}
		return out
	}
	// Here, unlike in PATCH, unknown logins are left out in silence.
	got := c.do(201, "POST", path, map[string]any{"assignees": []string{"Bob", "nobody-at-all", "amy"}}).object(t)
	if !slices.Equal(logins(got), []string{"bob", "amy"}) {
		t.Errorf("assigned %q", logins(got))
	}
	got = c.do(200, "DELETE", path, map[string]any{"assignees": []string{"BOB"}}).object(t)
	if !slices.Equal(logins(got), []string{"amy"}) {
		t.Errorf("left %q", logins(got))
	}
}

package contract_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pghub/pghub/internal/githubsim"
)

// The repositories that the simulator's seed makes.
const (
	rocket   = "/repos/orbital-labs/rocket"
	dotfiles = "/repos/octavia/dotfiles"
)

func seeded(t *testing.T) *client {
	t.Helper()
	return start(t, githubsim.Config{Seed: 7, Repos: 5, Issues: 250})
}

type j = map[string]any

func TestReads(t *testing.T) {
	t.Parallel()
	c := seeded(t)
	for _, path := range []string{
		"/user", "/users/octavia", "/users/orbital-labs", "/users/dependabot%5Bbot%5D", "/user/repos", "/user/repos?per_page=2&sort=created&direction=asc",
		"/user/repos?affiliation=owner&visibility=all", "/rate_limit", "/meta", rocket, dotfiles, rocket + "/assignees",
		rocket + "/labels?per_page=3", rocket + "/labels/bug", rocket + "/milestones?state=all&sort=due_on&direction=desc", rocket + "/milestones/1",
		rocket + "/milestones/1/labels", rocket + "/issues", rocket + "/issues?state=all&sort=updated&direction=asc&since=2001-01-01T00:00:00Z&per_page=100",
		rocket + "/issues?assignee=*&labels=bug&creator=octavia&milestone=none", rocket + "/issues?sort=comments&direction=desc&mentioned=octavia",
		rocket + "/issues/comments?sort=updated&direction=desc&since=2001-01-01T00:00:00Z", rocket + "/issues/1",
	} {
		c.do(200, "GET", path, nil)
	}
	c.do(204, "GET", rocket+"/assignees/octavia", nil)
	for _, path := range []string{
		"/users/nobody", "/repos/o/none", rocket + "/assignees/nobody", rocket + "/labels/nope", rocket + "/milestones/99", rocket + "/issues/99999",
		rocket + "/issues/comments/1",
	} {
		c.do(404, "GET", path, nil)
	}
	c.as("").do(401, "GET", "/user", nil)
	c.as("no such token").do(401, "GET", rocket+"/issues", nil)
	c.as("").do(200, "GET", dotfiles+"/issues", nil)
	c.as("").do(200, "GET", "/rate_limit", nil)
}

// TestPages reads every issue and comment of a repository, pull requests
// included, by following links.
func TestPages(t *testing.T) {
	t.Parallel()
	c := seeded(t)
	for _, path := range []string{"/issues?state=all&sort=created&direction=asc&per_page=50", "/issues/comments?per_page=100", "/labels?per_page=5"} {
		pages := 0
		for next := rocket + path; next != ""; pages++ {
			next = c.do(200, "GET", next, nil).next()
		}
		if pages < 2 {
			t.Errorf("%s had %d pages", path, pages)
		}
	}
	c.do(422, "GET", rocket+"/issues?page=100&per_page=100", nil)
}

// TestIssueLife makes an issue, changes each of its parts, and has changes refused.
func TestIssueLife(t *testing.T) {
	t.Parallel()
	c := seeded(t)
	made := c.do(201, "POST", rocket+"/issues", j{
		"title": "x 😀", "body": "b", "labels": []string{"bug", "new one"}, "assignees": []string{"octavia"}, "milestone": 4, "type": "Bug",
	})
	issue := fmt.Sprintf("%s/issues/%d", rocket, made.number(t))
	c.do(200, "GET", issue, nil)
	for _, edit := range []j{
		{"title": "y", "body": nil, "labels": []string{"c#"}, "assignees": []string{}, "milestone": 5, "type": nil},
		{"title": "y2", "body": "text"}, {"body": "text2", "milestone": nil}, {"body": strings.Repeat("é", 60_000)},
		{"state": "closed", "state_reason": "not_planned"}, {"state": "open"}, {"state": "closed", "state_reason": "duplicate"},
		{"state": "open", "state_reason": "reopened"}, {"state": "closed", "state_reason": "completed"}, {"labels": []j{{"name": "bug"}}},
	} {
		c.do(200, "PATCH", issue, edit)
	}
	c.do(422, "PATCH", issue, j{"title": strings.Repeat("z", 300)})
	c.do(422, "PATCH", issue, j{"body": strings.Repeat("z", 65_537)})
	c.do(422, "PATCH", issue, j{"milestone": 4711})
	for _, l := range []j{{"lock_reason": "too heated"}, {"lock_reason": "off-topic"}} {
		c.do(204, "PUT", issue+"/lock", l)
		c.do(200, "GET", issue, nil)
	}
	c.do(204, "DELETE", issue+"/lock", nil)
	c.do(204, "PUT", issue+"/lock", nil)
	c.refused(422, "PUT", issue+"/lock", j{"lock_reason": "boredom"})
	c.do(404, "PUT", rocket+"/issues/99999/lock", nil)
	c.do(200, "GET", issue+"/labels", nil)
	c.do(200, "POST", issue+"/labels", j{"labels": []string{"question", "fresh"}})
	c.do(200, "PUT", issue+"/labels", j{"labels": []string{"bug", "c#"}})
	c.do(200, "DELETE", issue+"/labels/c%23", nil)
	c.do(404, "DELETE", issue+"/labels/c%23", nil)
	c.do(204, "DELETE", issue+"/labels", nil)
	c.do(201, "POST", issue+"/assignees", j{"assignees": []string{"priya-nair", "nobody"}})
	c.do(200, "DELETE", issue+"/assignees", j{"assignees": []string{"priya-nair"}})
	for body, status := range map[string]int{`{"title":""}`: 422, `{}`: 422, `{`: 400, `[]`: 400, `{"title":"x","labels":"bug"}`: 422} {
		c.refused(status, "POST", rocket+"/issues", body)
	}
}

func TestComments(t *testing.T) {
	t.Parallel()
	c := seeded(t)
	comment := fmt.Sprintf("%s/issues/comments/%d", rocket, c.do(201, "POST", rocket+"/issues/1/comments", j{"body": "hi"}).id(t))
	c.do(200, "GET", rocket+"/issues/1/comments?per_page=1", nil)
	c.do(200, "GET", comment, nil)
	c.do(200, "PATCH", comment, j{"body": "edited 😀"})
	c.do(422, "PATCH", comment, j{"body": ""})
	c.do(422, "POST", rocket+"/issues/1/comments", j{"body": ""})
	c.refused(422, "POST", rocket+"/issues/1/comments", j{})
	c.do(404, "POST", rocket+"/issues/99999/comments", j{"body": "hi"})
	c.do(204, "DELETE", comment, nil)
	c.do(404, "GET", comment, nil)
	c.do(404, "DELETE", comment, nil)
}

func TestLabels(t *testing.T) {
	t.Parallel()
	c := seeded(t)
	c.do(201, "POST", rocket+"/labels", j{"name": "z/z #?", "color": "ff0000", "description": "d"})
	c.do(201, "POST", rocket+"/labels", j{"name": "bare"})
	c.do(422, "POST", rocket+"/labels", j{"name": "Z/Z #?"})
	c.do(422, "POST", rocket+"/labels", j{"name": "colour", "color": "red"})
	c.do(200, "PATCH", rocket+"/labels/z%2Fz%20%23%3F", j{"new_name": "yy", "color": "00ff00", "description": "e"})
	c.do(200, "PATCH", rocket+"/labels/yy", j{"color": "ABCDEF"})
	c.do(422, "PATCH", rocket+"/labels/yy", j{"new_name": "bug"})
	c.refused(400, "PATCH", rocket+"/labels/yy", `{`)
	c.do(404, "PATCH", rocket+"/labels/nope", j{"color": "00ff00"})
	c.do(204, "DELETE", rocket+"/labels/yy", nil)
	c.do(404, "DELETE", rocket+"/labels/yy", nil)
}

func TestMilestones(t *testing.T) {
	t.Parallel()
	c := seeded(t)
	made := c.do(201, "POST", rocket+"/milestones", j{"title": "mm", "due_on": "2027-01-01T00:00:00Z", "description": "q"})
	at := fmt.Sprintf("%s/milestones/%d", rocket, made.number(t))
	for _, edit := range []j{{"title": "mn", "description": "r", "due_on": "2027-02-02T00:00:00Z"}, {"state": "closed"}, {"state": "open"}} {
		c.do(200, "PATCH", at, edit)
	}
	c.do(422, "POST", rocket+"/milestones", j{"title": "mn"})
	c.refused(422, "POST", rocket+"/milestones", j{})
	c.do(404, "PATCH", rocket+"/milestones/4711", j{"title": "x"})
	c.do(204, "DELETE", at, nil)
	c.do(404, "DELETE", at, nil)
}

// TestRights asks as people who may do less.
func TestRights(t *testing.T) {
	t.Parallel()
	c := seeded(t)
	reader, err := c.sim.AddUser("reader", map[string]githubsim.Permission{"orbital-labs/rocket": githubsim.Read})
	if err != nil {
		t.Fatal(err)
	}
	narrow, err := c.sim.AddFineGrainedToken("octavia", nil, map[string]string{"issues": "read"})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{reader, narrow} {
		who := c.as(token)
		who.do(403, "PATCH", rocket+"/issues/1", j{"title": "q"})
		who.do(403, "PUT", rocket+"/issues/1/lock", nil)
		who.do(403, "POST", rocket+"/labels", j{"name": "q"})
		who.do(403, "POST", rocket+"/milestones", j{"title": "q"})
		who.do(403, "DELETE", rocket+"/labels/bug", nil)
	}
	c.as(narrow).do(403, "POST", rocket+"/issues", j{"title": "q"})
	// Silently without its label.
	c.as(reader).do(201, "POST", rocket+"/issues", j{"title": "drop", "labels": []string{"bug"}})
}

// TestMoved asks for what was renamed, transferred, deleted, switched off or archived.
func TestMoved(t *testing.T) {
	t.Parallel()
	c := seeded(t)
	moving := c.do(201, "POST", rocket+"/issues", j{"title": "to transfer", "labels": []string{"bug"}})
	if _, err := c.sim.TransferIssue("orbital-labs/rocket", moving.number(t), "orbital-labs/telescope"); err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("%s/issues/%d", rocket, moving.number(t))
	c.do(301, "GET", at, nil)
	c.do(301, "PATCH", at, j{"title": "n"})
	doomed := c.do(201, "POST", rocket+"/issues", j{"title": "to delete"})
	if err := c.sim.DeleteIssue("orbital-labs/rocket", doomed.number(t)); err != nil {
		t.Fatal(err)
	}
	at = fmt.Sprintf("%s/issues/%d", rocket, doomed.number(t))
	c.do(410, "GET", at, nil)
	c.do(410, "PATCH", at, j{"title": "n"})
	if err := c.sim.RenameRepository("orbital-labs/telescope", "octavia/lens"); err != nil {
		t.Fatal(err)
	}
	c.do(301, "GET", "/repos/orbital-labs/telescope", nil)
	c.do(301, "GET", "/repos/orbital-labs/telescope/labels", nil)
	moved := c.do(301, "GET", "/repos/orbital-labs/telescope/issues", nil)
	c.do(200, "GET", moved.header.Get("Location"), nil)
	changed := c.do(307, "PATCH", "/repos/orbital-labs/telescope/issues/1", j{"title": "x"})
	c.do(200, "PATCH", changed.header.Get("Location"), j{"title": "x"})
	c.do(307, "POST", "/repos/orbital-labs/telescope/issues", j{"title": "x"})
	off, on := false, true
	if err := c.sim.SetRepository("octavia/lens", githubsim.RepositorySettings{HasIssues: &off}); err != nil {
		t.Fatal(err)
	}
	c.do(410, "POST", "/repos/octavia/lens/issues", j{"title": "x"})
	if err := c.sim.SetRepository("octavia/lens", githubsim.RepositorySettings{HasIssues: &on, Archived: &on}); err != nil {
		t.Fatal(err)
	}
	c.do(403, "POST", "/repos/octavia/lens/issues", j{"title": "x"})
}

// TestLimits meets each limit in each of its forms.
func TestLimits(t *testing.T) {
	t.Parallel()
	c := seeded(t)
	for _, bare := range []bool{false, true} {
		for _, status := range []int{403, 429} {
			c.sim.SetSecondaryLimits(githubsim.SecondaryLimits{ContentPerMinute: 1, Bare: bare, Status: status})
			for {
				// The first may still fit.
				r := c.sendAny("POST", rocket+"/issues", j{"title": "x"})
				if r.status == status {
					break
				}
				if r.status != 201 {
					t.Fatalf("%d: %s", r.status, r.body)
				}
			}
			c.sim.SetSecondaryLimits(githubsim.SecondaryLimits{PointsPerMinute: 1, Bare: bare, Status: status})
			c.sendAny("GET", rocket+"/issues", nil) // may use up the one point
			c.do(status, "GET", rocket+"/issues", nil)
			c.do(status, "PATCH", rocket+"/issues/1", j{"title": "x"})
		}
	}
	c.sim.SetSecondaryLimits(githubsim.SecondaryLimits{})
	c.sim.SetRemaining("octavia", "core", 0)
	for _, path := range []string{rocket, rocket + "/issues", rocket + "/labels", rocket + "/milestones", rocket + "/issues/comments", "/user"} {
		c.do(403, "GET", path, nil)
	}
	c.do(200, "GET", "/rate_limit", nil)
}

// TestConditional asks again for what has not changed.
func TestConditional(t *testing.T) {
	t.Parallel()
	c := seeded(t)
	for _, path := range []string{rocket + "/issues", rocket + "/issues/1", rocket + "/labels", "/user/repos"} {
		c.again(304, path, c.do(200, "GET", path, nil).header.Get("Etag"))
	}
}

// TestTrouble has GitHub answer that it cannot.
func TestTrouble(t *testing.T) {
	t.Parallel()
	c := seeded(t)
	for _, status := range []int{500, 502, 503, 504} {
		c.sim.AddFault(githubsim.Fault{Path: "**/labels", Status: status, Body: "<html>Unicorn!</html>", Count: 1})
		c.do(status, "GET", rocket+"/labels", nil)
	}
}

package githubsim_test

import (
	"strings"
	"testing"

	"github.com/pghub/pghub/internal/githubsim"
)

// empty starts a simulator with one empty repository, octavia/box.
func empty(t testing.TB) *client {
	t.Helper()
	c := newClient(t, githubsim.Config{})
	if _, err := c.sim.CreateRepository("octavia/box", false); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCreateIssue(t *testing.T) {
	t.Parallel()
	c := empty(t)
	if _, err := c.sim.CreateMilestone("octavia/box", "v1"); err != nil {
		t.Fatal(err)
	}
	r := c.do(201, "POST", "/repos/octavia/box/issues", map[string]any{
		"title": "It works 🎉", "body": "from psql", "labels": []any{"BUG", "brand new", map[string]any{"name": "question"}},
		"assignees": []string{"Octavia"}, "milestone": 1,
	})
	got := r.object(t)
	if got["number"] != 1.0 || got["title"] != "It works 🎉" || got["state"] != "open" || got["state_reason"] != nil {
		t.Errorf("unexpected issue %s", r.body)
	}
	if id := got["id"].(float64); id <= 1<<32 {
		t.Errorf("id %v fits 32 bits", id)
	}
	var names []string
	for _, l := range got["labels"].([]any) {
		names = append(names, l.(map[string]any)["name"].(string))
	}
	if strings.Join(names, ",") != "bug,question,brand new" {
		t.Errorf("labels %q: existing ones keep their case, new ones are made", names)
	}
	if got["assignee"].(map[string]any)["login"] != "octavia" || got["milestone"].(map[string]any)["number"] != 1.0 {
		t.Errorf("assignee or milestone missing: %s", r.body)
	}
	if want := c.sim.URL + "/repos/octavia/box/issues/1"; r.header.Get("Location") != want || got["url"] != want {
		t.Errorf("Location %q, url %q, want %q", r.header.Get("Location"), got["url"], want)
	}
	if c.sim.CountRequests("POST", "/repos/*/*/issues") != 1 {
		t.Errorf("the request log does not have the request: %+v", c.sim.Requests())
	}
}

func TestIssueRefusals(t *testing.T) {
	t.Parallel()
	c := empty(t)
	c.do(201, "POST", "/repos/octavia/box/issues", map[string]any{"title": "one"})
	long := strings.Repeat("ä", 65_537)
	for name, tc := range map[string]struct {
		method, path string
		body         any
		status       int
		want         []string
	}{
		"no title":             {"POST", "", map[string]any{}, 422, []string{`"title\" wasn't supplied`}},
		"blank title":          {"POST", "", map[string]any{"title": " "}, 422, []string{"Validation Failed", `"missing_field"`, `"field":"title"`}},
		"long title":           {"POST", "", map[string]any{"title": strings.Repeat("x", 257)}, 422, []string{`"custom"`, "title is too long (maximum is 256 characters)"}},
		"long body":            {"POST", "", map[string]any{"title": "x", "body": long}, 422, []string{`"custom"`, `"field":"body"`, "maximum is 65536 characters"}},
		"null labels":          {"POST", "", map[string]any{"title": "x", "labels": nil}, 422, []string{"For 'properties/labels', nil is not an array."}},
		"unknown milestone":    {"POST", "", map[string]any{"title": "x", "milestone": 99}, 422, []string{`"value":99`, `"field":"milestone"`, `"invalid"`}},
		"unknown assignee":     {"POST", "", map[string]any{"title": "x", "assignees": []string{"nobody-at-all"}}, 422, []string{`"value":"nobody-at-all"`, `"assignees"`, `"invalid"`}},
		"no body":              {"POST", "", nil, 422, []string{"nil is not an object"}},
		"not JSON":             {"POST", "", "{", 400, []string{"Problems parsing JSON"}},
		"not an object":        {"POST", "", "[]", 400, []string{"Body should be a JSON object"}},
		"unknown state":        {"PATCH", "/1", map[string]any{"state": "ajar"}, 422, []string{"'properties/state'"}},
		"unknown state_reason": {"PATCH", "/1", map[string]any{"state": "closed", "state_reason": "bored"}, 422, []string{"'properties/state_reason'"}},
		"blank title on edit":  {"PATCH", "/1", map[string]any{"title": ""}, 422, []string{`"missing_field"`}},
		"unknown lock reason":  {"PUT", "/1/lock", map[string]any{"lock_reason": "bored"}, 422, []string{"lock_reason"}},
		"unknown number":       {"GET", "/77", nil, 404, []string{`"Not Found"`, `"status":"404"`, "documentation_url"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &client{t: t, sim: c.sim, token: c.token, answers: c.answers}
			r := c.do(tc.status, tc.method, "/repos/octavia/box/issues"+tc.path, tc.body)
			for _, w := range tc.want {
				if !strings.Contains(string(r.body), w) {
					t.Errorf("answer %s lacks %s", r.body, w)
				}
			}
		})
	}
}

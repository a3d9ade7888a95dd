package githubsim_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pghub/pghub/internal/githubsim"
)

func TestRenamedRepository(t *testing.T) {
	t.Parallel()
	c, _ := box(t)
	if err := c.sim.RenameRepository("octavia/box", "octavia/crate"); err != nil {
		t.Fatal(err)
	}
	r := c.do(301, "GET", "/repos/octavia/box/issues/1?x=y", nil)
	target := r.header.Get("Location")
	if !strings.Contains(target, "/repositories/") || !strings.HasSuffix(target, "/issues/1?x=y") || r.object(t)["url"] != target {
		t.Fatalf("GET: Location %q, body %s", target, r.body)
	}
	if got := c.do(200, "GET", target, nil).object(t)["repository_url"]; got != c.sim.URL+"/repos/octavia/crate" {
		t.Errorf("repository_url %v", got)
	}
	r = c.do(307, "PATCH", "/repos/octavia/box/issues/1", map[string]any{"title": "lost?"})
	c.do(200, "PATCH", r.header.Get("Location"), map[string]any{"title": "kept"})
	c.do(200, "GET", "/repos/OCTAVIA/Crate/issues/1", nil) // names do not mind case
	c.do(404, "GET", "/repositories/1", nil)

	// A new repository of the old name ends the redirect.
	if _, err := c.sim.CreateRepository("octavia/box", false); err != nil {
		t.Fatal(err)
	}
	c.do(404, "GET", "/repos/octavia/box/issues/1", nil)
}

func TestTransferredIssue(t *testing.T) {
	t.Parallel()
	c, _ := box(t)
	if _, err := c.sim.CreateRepository("octavia/other", false); err != nil {
		t.Fatal(err)
	}
	c.do(201, "POST", "/repos/octavia/box/issues/1/comments", map[string]any{"body": "hi"})
	before, err := c.sim.Issue("octavia/box", 1)
	if err != nil {
		t.Fatal(err)
	}
	moved, err := c.sim.TransferIssue("octavia/box", 1, "octavia/other")
	if err != nil {
		t.Fatal(err)
	}
	if moved.ID == before.ID || moved.NodeID == before.NodeID || moved.Comments != 1 || len(moved.Labels) != 1 || !moved.CreatedAt.Equal(before.CreatedAt) {
		t.Errorf("moved: %+v", moved)
	}
	r := c.do(301, "GET", "/repos/octavia/box/issues/1", nil)
	if got := c.do(200, "GET", r.header.Get("Location"), nil).object(t)["id"].(float64); int64(got) != moved.ID {
		t.Errorf("redirected to %v, want %d", got, moved.ID)
	}
	c.do(301, "PATCH", "/repos/octavia/box/issues/1", map[string]any{"title": "x"})
	if rows := c.all("/repos/octavia/box/issues?state=all"); len(rows) != 0 {
		t.Errorf("the old repository still lists %v", rows)
	}

	// Go's client turns a PATCH that is answered by 301 into a GET.
	req, err := http.NewRequestWithContext(t.Context(), "PATCH", c.sim.URL+"/repos/octavia/box/issues/1", strings.NewReader(`{"title":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	after, err := c.sim.Issue("octavia/other", 1)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || after.Title == "x" {
		t.Errorf("status %d, title %q: the trap is gone, and with it a test of clients", resp.StatusCode, after.Title)
	}
}

func TestGone(t *testing.T) {
	t.Parallel()
	c, _ := box(t)
	if _, err := c.sim.CreateIssue("octavia/box", "", githubsim.IssueEdit{Title: ptr("a pull request"), PullRequest: true}); err != nil {
		t.Fatal(err)
	}
	if err := c.sim.DeleteIssue("octavia/box", 1); err != nil {
		t.Fatal(err)
	}
	if r := c.do(410, "GET", "/repos/octavia/box/issues/1", nil); !strings.Contains(string(r.body), "This issue was deleted") {
		t.Errorf("deleted issue: %s", r.body)
	}
	c.do(410, "PATCH", "/repos/octavia/box/issues/1", map[string]any{"title": "x"})
	if n := c.do(201, "POST", "/repos/octavia/box/issues", map[string]any{"title": "next"}).object(t)["number"]; n != 3.0 {
		t.Errorf("a number was given out again: %v", n)
	}
	if err := c.sim.SetRepository("octavia/box", githubsim.RepositorySettings{HasIssues: ptr(false)}); err != nil {
		t.Fatal(err)
	}
	c.do(410, "POST", "/repos/octavia/box/issues", map[string]any{"title": "x"})
	c.do(410, "GET", "/repos/octavia/box/issues/3", nil)
	if rows := c.all("/repos/octavia/box/issues?state=all"); len(rows) != 1 || rows[0]["pull_request"] == nil {
		t.Errorf("without issues the list has %v", column[string](rows, "title"))
	}
	if err := c.sim.SetRepository("octavia/box", githubsim.RepositorySettings{Archived: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	if r := c.do(403, "PATCH", "/repos/octavia/box/issues/2", map[string]any{"title": "x"}); !strings.Contains(string(r.body), "archived") {
		t.Errorf("archived: %s", r.body)
	}
	if err := c.sim.DeleteRepository("octavia/box"); err != nil {
		t.Fatal(err)
	}
	c.do(404, "GET", "/repos/octavia/box", nil)
}

func ptr[T any](v T) *T { return &v }

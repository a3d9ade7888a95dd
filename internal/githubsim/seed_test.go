package githubsim_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode"

	"github.com/pghub/pghub/internal/githubsim"
)

func TestSeedIsDeterministic(t *testing.T) {
	t.Parallel()
	cfg := githubsim.Config{Seed: 42, Repos: 3, Issues: 150, BaseURL: "https://sim.invalid"}
	pages := func(cfg githubsim.Config) []byte {
		c := newClient(t, cfg)
		var all []byte
		for _, path := range []string{"/user/repos", seeded + "/issues?state=all&per_page=100", seeded + "/issues/comments?per_page=100", seeded + "/labels", seeded + "/milestones?state=all"} {
			all = append(all, c.do(200, "GET", path, nil).body...)
		}
		return append(all, c.token...)
	}
	first := pages(cfg)
	if !bytes.Equal(first, pages(cfg)) {
		t.Error("equal seeds gave different data")
	}
	cfg.Seed++
	if bytes.Equal(first, pages(cfg)) {
		t.Error("different seeds gave equal data")
	}
}

func TestSeedIsBelievable(t *testing.T) {
	t.Parallel()
	sim := newClient(t, githubsim.Config{Seed: 7, Repos: 3, Issues: 300}).sim
	repos := sim.Repositories()
	total, pulls, nobody, bot, emoji, closed, locked := 0, 0, 0, 0, 0, 0, 0
	for _, r := range repos {
		if r.ID <= 1<<32 || r.Labels < 15 || r.Milestones < 3 {
			t.Errorf("repository %+v", r)
		}
		issues, err := sim.Issues(r.FullName)
		if err != nil {
			t.Fatal(err)
		}
		open := int64(0)
		for _, i := range issues {
			total++
			if i.ID <= 1<<32 || i.Title == "" || i.UpdatedAt.Before(i.CreatedAt) || i.ClosedAt != nil != (i.State == "closed") {
				t.Errorf("issue %+v", i)
			}
			count := func(n *int, is bool) {
				if is {
					*n++
				}
			}
			count(&pulls, i.PullRequest)
			count(&nobody, i.User == "")
			count(&bot, strings.HasSuffix(i.User, "[bot]"))
			count(&closed, i.State == "closed")
			count(&locked, i.Locked)
			count(&emoji, strings.ContainsFunc(i.Title, func(c rune) bool { return c > unicode.MaxLatin1 }))
			if i.State == "open" {
				open++
			}
		}
		if open != r.OpenIssuesCount {
			t.Errorf("%s counts %d open, has %d", r.FullName, r.OpenIssuesCount, open)
		}
	}
	if len(repos) != 3 || total-pulls != 300 {
		t.Errorf("%d repositories, %d issues", len(repos), total-pulls)
	}
	for what, n := range map[string]int{"pull requests": pulls, "without user": nobody, "by a bot": bot, "with wide characters": emoji, "closed": closed, "locked": locked} {
		if n == 0 || n == total {
			t.Errorf("%d of %d are %s", n, total, what)
		}
	}
}

func TestBrowserPage(t *testing.T) {
	t.Parallel()
	c, _ := box(t)
	c.do(200, "PATCH", "/repos/octavia/box/issues/1", map[string]any{"title": "<script>alert(1)</script>"})
	c.do(201, "POST", "/repos/octavia/box/issues/1/comments", map[string]any{"body": "a remark"})
	url := c.do(200, "GET", "/repos/octavia/box/issues/1", nil).object(t)["html_url"].(string)
	r := c.do(200, "GET", url, nil, "Accept", "text/html,*/*")
	if page := string(r.body); strings.Contains(page, "<script>") || !strings.Contains(page, "&lt;script&gt;") || !strings.Contains(page, "a remark") {
		t.Errorf("page %s", page)
	}
	c.do(404, "GET", c.sim.URL+"/octavia/box/issues/99", nil, "Accept", "text/html")
}

func TestEnterprisePrefix(t *testing.T) {
	t.Parallel()
	c := newClient(t, githubsim.Config{Seed: 1, Repos: 1, Issues: 50})
	r := c.do(200, "GET", "/api/v3"+seeded+"/issues?per_page=5", nil)
	if next := r.link("next"); !strings.HasPrefix(next, c.sim.URL+"/api/v3/repositories/") {
		t.Errorf("next %s", next)
	}
	if u := r.list(t)[0]["url"].(string); !strings.HasPrefix(u, c.sim.URL+"/api/v3/repos/") {
		t.Errorf("url %s", u)
	}
	c.do(200, "POST", "/api/graphql", map[string]any{"query": "{ viewer { login } }"})
}

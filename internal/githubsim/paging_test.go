package githubsim_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/githubsim"
)

const seeded = "/repos/orbital-labs/rocket"

func TestFullScan(t *testing.T) {
	t.Parallel()
	c := newClient(t, githubsim.Config{Seed: 1, Repos: 2, Issues: 900})
	want, err := c.sim.Issues("orbital-labs/rocket")
	if err != nil {
		t.Fatal(err)
	}
	for _, order := range []string{"created", "updated", "comments"} {
		for _, direction := range []string{"asc", "desc"} {
			t.Run(order+" "+direction, func(t *testing.T) {
				t.Parallel()
				c := &client{t: t, sim: c.sim, token: c.token, answers: c.answers}
				rows := c.all(seeded + "/issues?state=all&per_page=100&sort=" + order + "&direction=" + direction)
				if len(rows) != len(want) {
					t.Fatalf("%d rows, want %d", len(rows), len(want))
				}
				seen := map[float64]bool{}
				for k, row := range rows {
					seen[row["number"].(float64)] = true
					if k == 0 {
						continue
					}
					a, b := sortValue(rows[k-1], order), sortValue(row, order)
					if direction == "desc" {
						a, b = b, a
					}
					if a > b {
						t.Fatalf("row %d is out of order: %s, %s", k, a, b)
					}
				}
				if len(seen) != len(want) {
					t.Errorf("%d different rows, want %d", len(seen), len(want))
				}
			})
		}
	}
}

func sortValue(row map[string]any, order string) string {
	if order == "comments" {
		return fmt.Sprintf("%08.0f", row["comments"])
	}
	return row[order+"_at"].(string)
}

// Rows that move while a client pages neither hide others nor end the scan: a
// scan by updated, ascending, sees every row at least once.
func TestCursorWhileRowsMove(t *testing.T) {
	t.Parallel()
	c := newClient(t, githubsim.Config{Seed: 2, Repos: 1, Issues: 300})
	issues, err := c.sim.Issues("orbital-labs/rocket")
	if err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	seen := map[int64]bool{}
	moved := map[int64]bool{}
	path := seeded + "/issues?state=all&sort=updated&direction=asc&per_page=20"
	for path != "" {
		r := c.do(200, "GET", path, nil)
		for _, row := range r.list(t) {
			seen[int64(row["number"].(float64))] = true
		}
		if path = r.link("next"); path != "" && !strings.Contains(path, "after=") {
			t.Fatalf("no cursor in %s", path)
		}
		for range 5 { // bounded: each issue moves once
			if n := issues[rnd.IntN(len(issues))].Number; !moved[n] {
				moved[n] = true
				if err := c.sim.TouchIssue("orbital-labs/rocket", n); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if len(seen) != len(issues) {
		t.Errorf("saw %d of %d issues", len(seen), len(issues))
	}
}

func TestPageLinks(t *testing.T) {
	t.Parallel()
	c := newClient(t, githubsim.Config{Seed: 1, Repos: 1, Issues: 300})
	r := c.do(200, "GET", seeded+"/issues?state=all&per_page=10", nil)
	next := r.link("next")
	if !strings.Contains(next, "/repositories/") || !strings.Contains(next, "state=all") || r.link("prev") != "" {
		t.Errorf("Link of page 1: %s", r.header.Get("Link"))
	}
	first := column[float64](r.list(t), "number")
	second := c.do(200, "GET", next, nil)
	byNumber := c.do(200, "GET", seeded+"/issues?state=all&per_page=10&page=2", nil)
	if a, b := column[float64](second.list(t), "number"), column[float64](byNumber.list(t), "number"); !slices.Equal(a, b) {
		t.Errorf("after the cursor come %v, on page 2 %v", a, b)
	}
	back := c.do(200, "GET", second.link("prev"), nil)
	if a := column[float64](back.list(t), "number"); !slices.Equal(a, first) {
		t.Errorf("prev of page 2 is %v, page 1 was %v", a, first)
	}

	pages := c.do(200, "GET", seeded+"/issues/comments?per_page=50&page=2", nil)
	for _, rel := range []string{"prev", "next", "last", "first"} {
		if !strings.Contains(pages.link(rel), "page=") {
			t.Errorf("comments lack rel=%s: %s", rel, pages.header.Get("Link"))
		}
	}
	all, err := c.sim.Comments("orbital-labs/rocket")
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"", "&sort=updated&direction=asc", "&sort=created&direction=desc"} {
		if rows := c.all(seeded + "/issues/comments?per_page=100" + query); len(rows) != len(all) {
			t.Errorf("%q: %d comments, want %d", query, len(rows), len(all))
		}
	}
}

func TestPageBounds(t *testing.T) {
	t.Parallel()
	c := newClient(t, githubsim.Config{Seed: 1, Repos: 1, Issues: 300})
	for query, want := range map[string]int{"": 30, "&per_page=1": 1, "&per_page=100": 100, "&per_page=500": 100, "&per_page=0": 30, "&per_page=x": 30, "&page=99&per_page=100": 0} {
		if got := len(c.do(200, "GET", seeded+"/issues?state=all"+query, nil).list(t)); got != want {
			t.Errorf("%q: %d rows, want %d", query, got, want)
		}
	}
	r := c.do(422, "GET", seeded+"/issues?state=all&page=100&per_page=100", nil)
	if !strings.Contains(string(r.body), "cursor based pagination") {
		t.Errorf("page 100: %s", r.body)
	}
	c.do(422, "GET", seeded+"/issues?after=nonsense", nil)
}

func TestSince(t *testing.T) {
	t.Parallel()
	c := newClient(t, githubsim.Config{Seed: 1, Repos: 1, Issues: 300})
	issues, err := c.sim.Issues("orbital-labs/rocket")
	if err != nil {
		t.Fatal(err)
	}
	at := issues[len(issues)/2].UpdatedAt
	want := 0
	for _, i := range issues {
		if !i.UpdatedAt.Before(at) {
			want++
		}
	}
	stamp := at.Format(time.RFC3339)
	for _, order := range []string{"updated", "created"} {
		for _, direction := range []string{"asc", "desc"} {
			rows := c.all(seeded + "/issues?state=all&per_page=50&sort=" + order + "&direction=" + direction + "&since=" + stamp)
			if len(rows) != want {
				t.Errorf("%s %s: %d rows since %s, want %d", order, direction, len(rows), stamp, want)
			}
		}
	}
	if rows := c.all(seeded + "/issues?state=all&since=1970-01-01T00:00:00Z"); len(rows) != 0 {
		t.Errorf("since 1970 answers %d rows, GitHub answers none", len(rows))
	}
	comments, err := c.sim.Comments("orbital-labs/rocket")
	if err != nil {
		t.Fatal(err)
	}
	want = 0
	for _, m := range comments {
		if !m.UpdatedAt.Before(at) {
			want++
		}
	}
	for _, query := range []string{"", "&sort=updated&direction=asc", "&sort=updated&direction=desc"} {
		if rows := c.all(seeded + "/issues/comments?per_page=100&since=" + stamp + query); len(rows) != want {
			t.Errorf("%q: %d comments, want %d", query, len(rows), want)
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	c := newClient(t, githubsim.Config{Seed: 5, Repos: 1, Issues: 400})
	issues, err := c.sim.Issues("orbital-labs/rocket")
	if err != nil {
		t.Fatal(err)
	}
	milestone := func(n int64) func(githubsim.Issue) bool {
		return func(i githubsim.Issue) bool { return i.Milestone != nil && *i.Milestone == n }
	}
	for query, match := range map[string]func(githubsim.Issue) bool{
		"":                     func(i githubsim.Issue) bool { return i.State == "open" },
		"state=closed":         func(i githubsim.Issue) bool { return i.State == "closed" },
		"state=all&labels=BUG": func(i githubsim.Issue) bool { return slices.Contains(i.Labels, "bug") },
		"state=all&labels=bug,area/api": func(i githubsim.Issue) bool {
			return slices.Contains(i.Labels, "bug") && slices.Contains(i.Labels, "area/api")
		},
		"state=all&labels=no-such-label":           func(githubsim.Issue) bool { return false },
		"state=all&creator=octavia":                func(i githubsim.Issue) bool { return i.User == "octavia" },
		"state=all&creator=dependabot[bot]":        func(i githubsim.Issue) bool { return i.User == "dependabot[bot]" },
		"state=all&assignee=octavia":               func(i githubsim.Issue) bool { return slices.Contains(i.Assignees, "octavia") },
		"state=all&assignee=none":                  func(i githubsim.Issue) bool { return len(i.Assignees) == 0 },
		"state=all&assignee=*":                     func(i githubsim.Issue) bool { return len(i.Assignees) > 0 },
		"state=all&milestone=2":                    milestone(2),
		"state=all&milestone=none":                 func(i githubsim.Issue) bool { return i.Milestone == nil },
		"state=all&milestone=*":                    func(i githubsim.Issue) bool { return i.Milestone != nil },
		"state=all&type=Bug":                       func(i githubsim.Issue) bool { return i.Type != nil && *i.Type == "Bug" },
		"state=all&type=none&creator=yuki-hoshino": func(i githubsim.Issue) bool { return i.Type == nil && i.User == "yuki-hoshino" },
		"state=all&mentioned=octavia": func(i githubsim.Issue) bool {
			return i.Body != nil && strings.Contains(*i.Body, "@octavia")
		},
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			c := &client{t: t, sim: c.sim, token: c.token, answers: c.answers}
			want := []float64{}
			for _, i := range issues {
				if match(i) {
					want = append(want, float64(i.Number))
				}
			}
			got := column[float64](c.all(seeded+"/issues?per_page=7&direction=asc&"+strings.NewReplacer("[", "%5B", "]", "%5D").Replace(query)), "number")
			if !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if query != "state=all&labels=no-such-label" && len(want) == 0 {
				t.Error("the generated data has no such issue: the case proves nothing")
			}
		})
	}
	for _, bad := range []string{"state=ajar", "sort=size", "direction=up", "creator=nobody-at-all", "assignee=nobody-at-all", "milestone=99", "milestone=x", "since=yesterday"} {
		c.do(422, "GET", seeded+"/issues?"+bad, nil)
	}
}

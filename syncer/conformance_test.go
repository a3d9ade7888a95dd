package syncer

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/schema"
)

// scenarios are things that happen at GitHub. Each must come out the same
// whether the mirror is made afterwards or kept current meanwhile.
var scenarios = []struct {
	name   string
	change func(b *bundle, repo string)
}{
	{"nothing", func(*bundle, string) {}},
	{"issue opened, edited and closed", func(b *bundle, repo string) {
		n := b.open(repo, map[string]any{"title": "A new one", "body": "first", "labels": []string{"brand new"}})
		b.edit(repo, n, map[string]any{"title": "An edited one", "body": "second"})
		b.edit(repo, n, map[string]any{"state": "closed", "state_reason": "not_planned"})
	}},
	{"issue reopened, milestone set, assigned, locked", func(b *bundle, repo string) {
		n := b.open(repo, map[string]any{"title": "Wanders about"})
		m := b.call("POST", "repos/"+repo+"/milestones", map[string]any{"title": "Soon"})
		b.edit(repo, n, map[string]any{"state": "closed"})
		b.edit(repo, n, map[string]any{"state": "open", "milestone": m["number"], "assignees": []string{b.sim.Login()}})
		b.call("PUT", fmt.Sprintf("repos/%s/issues/%d/lock", repo, n), map[string]any{"lock_reason": "resolved"})
	}},
	{"characters that Postgres refuses", func(b *bundle, repo string) {
		n := b.open(repo, map[string]any{"title": "nul \x00 inside", "body": "a\x00b \\u0000 😀"})
		b.call("POST", fmt.Sprintf("repos/%s/issues/%d/comments", repo, n), map[string]any{"body": "\x00"})
	}},
	{"comments written and edited", func(b *bundle, repo string) {
		n := b.open(repo, map[string]any{"title": "Discussed"})
		c := b.call("POST", fmt.Sprintf("repos/%s/issues/%d/comments", repo, n), map[string]any{"body": "one"})
		b.call("POST", fmt.Sprintf("repos/%s/issues/%d/comments", repo, n), map[string]any{"body": "two"})
		b.call("PATCH", fmt.Sprintf("repos/%s/issues/comments/%d", repo, id(c)), map[string]any{"body": "one, edited"})
	}},
	{"comment deleted", func(b *bundle, repo string) {
		n := b.open(repo, map[string]any{"title": "Loses a comment"})
		c := b.call("POST", fmt.Sprintf("repos/%s/issues/%d/comments", repo, n), map[string]any{"body": "goes"})
		b.call("POST", fmt.Sprintf("repos/%s/issues/%d/comments", repo, n), map[string]any{"body": "stays"})
		b.settled(repo)
		b.call("DELETE", fmt.Sprintf("repos/%s/issues/comments/%d", repo, id(c)), nil)
		// Whether a deletion counts as a change of its issue is not promised;
		// an edit certainly is one.
		b.edit(repo, n, map[string]any{"body": "someone was here"})
	}},
	{"label renamed", func(b *bundle, repo string) {
		b.open(repo, map[string]any{"title": "Labelled", "labels": []string{"before", "kept"}})
		b.settled(repo)
		b.call("PATCH", "repos/"+repo+"/labels/before", map[string]any{"new_name": "after: c#d/é"})
	}},
	{"label deleted and made again", func(b *bundle, repo string) {
		b.open(repo, map[string]any{"title": "Loses its label", "labels": []string{"doomed", "kept"}})
		b.settled(repo)
		b.call("DELETE", "repos/"+repo+"/labels/doomed", nil)
		b.open(repo, map[string]any{"title": "Has the new one", "labels": []string{"doomed"}})
	}},
	{"milestone deleted", func(b *bundle, repo string) {
		m := b.call("POST", "repos/"+repo+"/milestones", map[string]any{"title": "Never"})
		b.open(repo, map[string]any{"title": "Was planned", "milestone": m["number"]})
		b.settled(repo)
		b.call("DELETE", fmt.Sprintf("repos/%s/milestones/%v", repo, m["number"]), nil)
	}},
	{"many changes at once", func(b *bundle, repo string) {
		for i := range 130 {
			b.open(repo, map[string]any{"title": fmt.Sprintf("burst %d", i), "labels": []string{fmt.Sprintf("burst %d", i)}})
		}
	}},
}

func (b *bundle) open(repo string, fields map[string]any) int64 {
	b.t.Helper()
	return number(b.call("POST", "repos/"+repo+"/issues", fields))
}

func (b *bundle) edit(repo string, n int64, fields map[string]any) {
	b.t.Helper()
	b.call("PATCH", fmt.Sprintf("repos/%s/issues/%d", repo, n), fields)
}

func id(o map[string]any) int64     { return int64(o["id"].(float64)) }
func number(o map[string]any) int64 { return int64(o["number"].(float64)) }

// settled waits until a running syncer has seen everything so far.
func (b *bundle) settled(repo string) {
	b.t.Helper()
	if scan[bool](b, `SELECT EXISTS (SELECT FROM pghub.sync_state WHERE repository_id <> 0)`) {
		b.same(repo)
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	data := githubsim.Config{Seed: 7, Repos: 2, Issues: 140}
	t.Run("backfill", func(t *testing.T) {
		t.Parallel()
		b := setup(t, data)
		repos := b.repos()
		for _, sc := range scenarios {
			sc.change(b, repos[0])
		}
		b.start(options{repos: repos, every: time.Hour})
		b.ready()
		b.same(repos...)
	})
	t.Run("polling", func(t *testing.T) {
		t.Parallel()
		b := setup(t, data)
		repos := b.repos()
		b.start(options{repos: repos})
		b.ready()
		for _, sc := range scenarios {
			t.Run(sc.name, func(t *testing.T) {
				b := b.in(t)
				sc.change(b, repos[0])
				b.same(repos[0])
			})
		}
		b.same(repos...)
	})
}

// TestEditsDuringBackfill changes issues while their list is being paged: each
// page that is committed makes the next changes.
func TestEditsDuringBackfill(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 3, Repos: 1, Issues: 420})
	repo := b.repos()[0]
	_, rows := b.want(repo)
	var numbers []int64
	for _, row := range rows[schema.Issue] {
		numbers = append(numbers, row.Get("number").(int64))
	}
	pages := 0
	b.start(options{repos: []string{repo}, onStep: func(p Progress) {
		if p.Collection != "issue" || p.Done == 0 || pages > 4 {
			return
		}
		pages++
		b.edit(repo, numbers[pages], map[string]any{"title": fmt.Sprintf("edited during page %d", pages)})
		b.edit(repo, numbers[len(numbers)-pages], map[string]any{"state": "closed"})
		b.open(repo, map[string]any{"title": fmt.Sprintf("opened during page %d", pages)})
	}})
	b.ready()
	b.same(repo)
	if pages < 4 {
		t.Errorf("the issues came in %d pages; the test needs several", pages)
	}
}

// TestPullRequestsStayOut makes sure that the test data has what it takes.
func TestPullRequestsStayOut(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 5, Repos: 1, Issues: 150})
	repo := b.repos()[0]
	pulls := 0
	for _, raw := range b.all("repos/"+repo+"/issues", url.Values{"state": {"all"}}) {
		if strings.Contains(string(raw), `"pull_request"`) {
			pulls++
		}
	}
	if pulls == 0 {
		t.Fatal("the simulator lists no pull requests")
	}
	r := b.start(options{repos: []string{repo}, every: time.Hour})
	b.ready()
	b.same(repo)
	for _, p := range r.sink.list() {
		if p.Collection == "issue" && p.State == StateLive && p.Done != p.Expected {
			t.Errorf("done %d of %d", p.Done, p.Expected)
		}
	}
	if n := scan[int64](b, `SELECT count(*) FROM github.issue WHERE payload ? 'pull_request'`); n != 0 {
		t.Errorf("%d pull requests are in table issue", n)
	}
	if n := scan[int64](b, `SELECT count(*) FROM github.issue_comment WHERE issue_id IS NULL`); n == 0 {
		t.Error("no comment of a pull request is in the mirror")
	}
	if n := scan[int64](b, `SELECT count(*) FROM github.issue WHERE user_id IS NULL`); n == 0 {
		t.Error("no issue of a deleted account is in the mirror")
	}
}

// TestDiscovery follows everything that the token sees, and what appears later.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 11, Repos: 3, Issues: 30})
	b.start(options{tune: func(tune *tuning) { tune.discover = 100 * time.Millisecond }})
	b.ready()
	repos := b.repos()
	b.same(repos...)
	if n := scan[int64](b, `SELECT count(*) FROM pghub.followed WHERE active AND NOT named`); n != int64(len(repos)) {
		t.Errorf("%d repositories are followed, the token sees %d", n, len(repos))
	}
	own := scan[string](b, `SELECT payload ->> 'login' FROM github.account WHERE login = $1`, b.sim.Login())
	if own != b.sim.Login() {
		t.Errorf("the token's account is %q", own)
	}
}

// TestUnknownRepository must not stop the others.
func TestUnknownRepository(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 13, Repos: 1, Issues: 20})
	repo := b.repos()[0]
	r := b.start(options{repos: []string{"nobody/nothing", repo}})
	b.ready()
	b.same(repo)
	list, err := r.Status(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, c := range list {
		if c.Repository == "nobody/nothing" {
			found = true
			if c.State != StateError || !strings.Contains(c.LastError, "does not show") || c.LastErrorAt.IsZero() {
				t.Errorf("the unknown repository's state is %+v", c)
			}
		} else if c.State != StateLive || c.LastError != "" {
			t.Errorf("%+v", c)
		}
		if c.Repository == repo && c.Collection == "issue" && (c.Rows == 0 || c.Cursor.IsZero() || c.LastSync.IsZero()) {
			t.Errorf("the status of the issues is %+v", c)
		}
		if strings.Contains(c.LastError, b.sim.Token()) {
			t.Error("the token stands in an error")
		}
	}
	if !found {
		t.Errorf("the unknown repository is not in the status: %+v", list)
	}
}

// TestQuietRepositoryCostsNothing: when nothing changes, every poll is
// answered 304.
func TestQuietRepositoryCostsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 17, Repos: 1, Issues: 150})
	repo := b.repos()[0]
	b.start(options{repos: []string{repo}})
	b.ready()
	polls := func(status int) (n int) {
		for _, r := range b.sim.Requests() {
			if strings.HasPrefix(r.Path, "/repositories/") && r.Status == status {
				n++
			}
		}
		return n
	}
	b.eventually("polls are answered 304", func() string {
		b.sim.ResetRequests()
		b.eventually("a few polls", func() string {
			if b.sim.CountRequests("GET", "/repositories/*/labels") < 3 {
				return "fewer than three"
			}
			return ""
		})
		if n := polls(200); n > 0 {
			return fmt.Sprintf("%d answers of 200, %d of 304", n, polls(304))
		}
		if n := polls(304); n < 12 {
			return fmt.Sprintf("only %d answers of 304", n)
		}
		return ""
	})
	b.same(repo)
}

// TestFaults: answers of 502 and cut connections delay, and lose nothing.
func TestFaults(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 19, Repos: 2, Issues: 260})
	repos := b.repos()
	b.sim.AddFault(githubsim.Fault{Path: "**/issues", Status: 502, Skip: 2, Count: 6})
	b.sim.AddFault(githubsim.Fault{Path: "**/comments", Cut: githubsim.CutDuring, Skip: 1, Count: 2})
	b.sim.AddFault(githubsim.Fault{Path: "**/labels", Cut: githubsim.CutBefore, Count: 1})
	b.start(options{repos: repos, api: ghapi.Config{ReadRetries: 1}})
	b.ready()
	b.open(repos[0], map[string]any{"title": "after the storm"})
	b.same(repos...)
	for _, f := range b.sim.Faults() {
		if f.Hits != f.Count {
			t.Errorf("the fault on %s hit %d times of %d", f.Path, f.Hits, f.Count)
		}
	}
}

package syncer

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/githubsim"
)

// TestTwoProcesses: two syncers on one database share the work; neither a page
// nor a poll is done twice.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 47, Repos: 2, Issues: 600})
	repos := b.repos()
	b.start(options{repos: repos, every: time.Hour})
	b.start(options{repos: repos, every: time.Hour})
	b.ready()
	b.same(repos...)
	b.noPageTwice(0)
	b.exec(`UPDATE pghub.sync_state SET next_poll_at = now() WHERE collection = 'repository'`)
	b.eventually("both repositories are polled once", func() string {
		if n := scan[int64](b, `SELECT count(*) FROM pghub.river_job WHERE kind = 'poll' AND state = 'completed'`); n != 2 {
			return fmt.Sprintf("%d polls", n)
		}
		return ""
	})
	if n := scan[int64](b, `SELECT count(*) FROM pghub.sync_state WHERE collection = 'repository' AND next_poll_at > now() + interval '29 minutes'`); n != 2 {
		t.Errorf("%d of 2 repositories have their next poll an interval ahead", n)
	}
}

// TestRepositoryRenamed: the row stays, the new name arrives, and a new
// repository that takes the old name over is not mixed up with it.
func TestRepositoryRenamed(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 53, Repos: 1, Issues: 30})
	repo := b.repos()[0]
	owner, _, _ := strings.Cut(repo, "/")
	b.start(options{repos: []string{repo}})
	b.ready()
	b.same(repo)
	if err := b.sim.RenameRepository(repo, owner+"/renamed"); err != nil {
		t.Fatal(err)
	}
	b.open(owner+"/renamed", map[string]any{"title": "after the rename"})
	b.same(owner + "/renamed")
	if _, err := b.sim.CreateRepository(repo, false); err != nil {
		t.Fatal(err)
	}
	b.open(repo, map[string]any{"title": "in the new repository of the old name"})
	b.open(owner+"/renamed", map[string]any{"title": "after the takeover"})
	b.same(owner + "/renamed")
	if n := scan[int64](b, `SELECT count(*) FROM github.repository`); n != 1 {
		t.Errorf("%d repositories in the mirror", n)
	}
}

// TestAccessLost: rows stay when GitHub no longer shows a repository, and
// syncing goes on when it does again.
func TestAccessLost(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 59, Repos: 1, Issues: 30})
	repo := b.repos()[0]
	r := b.start(options{repos: []string{repo}})
	b.ready()
	b.same(repo)
	before := scan[int64](b, `SELECT count(*) FROM github.issue`)
	b.sim.AddFault(githubsim.Fault{Path: "/repositories/**", Status: http.StatusNotFound, Body: `{"message":"Not Found"}`})
	b.eventually("access_lost shows", func() string {
		list, err := r.Status(b.ctx)
		if err != nil {
			return err.Error()
		}
		for _, c := range list {
			if c.RepositoryID != 0 && (c.State != StateAccessLost || c.LastError == "") {
				return fmt.Sprintf("%+v", c)
			}
		}
		return ""
	})
	if after := scan[int64](b, `SELECT count(*) FROM github.issue`); after != before {
		t.Errorf("%d of %d issues are left", after, before)
	}
	if n := scan[int64](b, `SELECT count(*) FROM pghub.tombstone`); n != 0 {
		t.Errorf("%d tombstones", n)
	}
	b.sim.RemoveFault(0)
	b.open(repo, map[string]any{"title": "back again"})
	b.same(repo)
}

// TestBadToken: the credential's error is visible and the syncer keeps trying.
func TestBadToken(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 61, Repos: 1, Issues: 10})
	fault := b.sim.AddFault(githubsim.Fault{Path: "/user", Status: 401, Body: `{"message":"Bad credentials"}`})
	r := b.start(options{tune: func(tune *tuning) { tune.discover = 100 * time.Millisecond }})
	b.eventually("the error shows", func() string {
		list, err := r.Status(b.ctx)
		if err != nil {
			return err.Error()
		}
		for _, c := range list {
			if c.Collection == accountCollection && c.State == StateError && strings.Contains(c.LastError, "Bad credentials") {
				return ""
			}
		}
		return fmt.Sprintf("%+v", list)
	})
	if ok, _, err := r.Ready(b.ctx); err != nil || ok {
		t.Errorf("ready: %v, %v", ok, err)
	}
	b.sim.RemoveFault(fault)
	b.ready()
	b.same(b.repos()...)
}

// TestNoPermission: one collection that the credential may not read does not
// keep the others from being current.
func TestNoPermission(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 73, Repos: 1, Issues: 10})
	repo := b.repos()[0]
	r := b.start(options{repos: []string{repo}})
	b.ready()
	b.sim.AddFault(githubsim.Fault{Path: "**/milestones", Status: 403, Body: `{"message":"Resource not accessible by personal access token"}`})
	b.open(repo, map[string]any{"title": "still arrives"})
	b.eventually("the issue arrives and the error shows", func() string {
		list, err := r.Status(b.ctx)
		if err != nil {
			return err.Error()
		}
		for _, c := range list {
			if c.Collection == "milestone" && (c.State != StateError || !strings.Contains(c.LastError, "not accessible")) {
				return fmt.Sprintf("%+v", c)
			}
			if c.Collection == "issue_comment" && c.State != StateLive {
				return fmt.Sprintf("%+v", c)
			}
		}
		if scan[int64](b, `SELECT count(*) FROM github.issue WHERE title = 'still arrives'`) == 0 {
			return "no issue yet"
		}
		return ""
	})
	b.sim.RemoveFault(0)
	b.same(repo)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{})
	tests := []struct {
		name string
		cfg  Config
		want string
	}{
		{"no pool", Config{API: b.client(ghapi.Config{})}, "pool"},
		{"no client", Config{Pool: b.pool}, "GitHub client"},
		{"no slash", Config{Pool: b.pool, API: b.truth, Repos: []string{"x"}}, `"x"`},
		{"path", Config{Pool: b.pool, API: b.truth, Repos: []string{"a/b/c"}}, `"a/b/c"`},
		{"dots", Config{Pool: b.pool, API: b.truth, Repos: []string{"a/.."}}, `"a/.."`},
		{"interval", Config{Pool: b.pool, API: b.truth, PollInterval: -1}, "negative"},
		{"good", Config{Pool: b.pool, API: b.truth, Repos: []string{"a/b", "A/B", " c-d/e.f_g "}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := New(tt.cfg)
			if tt.want == "" {
				if err != nil || len(s.cfg.Repos) != 2 || s.cfg.Repos[1] != "c-d/e.f_g" || s.cfg.PollInterval != DefaultPollInterval {
					t.Errorf("%v %+v", err, s)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the error is %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestLastPage(t *testing.T) {
	t.Parallel()
	for link, want := range map[string]int{
		"": 0,
		`<https://api.github.com/repositories/1/issues?page=2>; rel="next", <https://api.github.com/repositories/1/issues?per_page=1&page=34>; rel="last"`: 34,
		`<https://api.github.com/repositories/1/issues?after=abc>; rel="next"`:                                                                             0,
		`<https://h/x?page=5>; rel="last"`:                                                    5,
		`<https://h/x?page=no>; rel="last"`:                                                   0,
		`<https://h/x?page=9>; rel="prev", <https://h/x?q=a,b&page=7>; rel="last"; title="t"`: 7,
	} {
		if got := lastPage(http.Header{"Link": {link}}); got != want {
			t.Errorf("the last page of %s is %d, want %d", link, got, want)
		}
	}
}

func TestPercent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		c    CollectionStatus
		want int
	}{
		{CollectionStatus{}, -1},
		{CollectionStatus{Done: 5, Expected: 10}, 50},
		{CollectionStatus{Done: 12, Expected: 10}, 99},
		{CollectionStatus{Complete: true}, 100},
	} {
		if got := tt.c.Percent(); got != tt.want {
			t.Errorf("%+v is at %d percent, want %d", tt.c, got, tt.want)
		}
	}
}

package ghapi_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/url"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/contract"
	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/internal/githubsim/githubsimtest"
)

func simulated(t *testing.T, cfg githubsim.Config) (*githubsimtest.Running, *ghapi.Client, string) {
	t.Helper()
	cfg.Seed, cfg.Repos = 3, 1
	sim := githubsimtest.Start(t, cfg)
	c, err := ghapi.New(ghapi.Config{
		BaseURL: sim.URL, Token: sim.Token(), RetryDelay: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
		Transport: contract.Transport(t, nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	return sim, c, sim.Repositories()[0].FullName
}

func TestFullScan(t *testing.T) {
	t.Parallel()
	sim, c, repo := simulated(t, githubsim.Config{Issues: 500})
	sim.AddFault(githubsim.Fault{Method: "GET", Cut: githubsim.CutDuring, Skip: 1, Count: 1})
	sim.AddFault(githubsim.Fault{Method: "GET", Status: 502, Skip: 2, Count: 2})
	want, err := sim.Repository(repo)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	err = c.Pages(t.Context(), ghapi.Request{
		Path:  "repos/" + repo + "/issues",
		Query: url.Values{"state": {"all"}, "sort": {"created"}, "direction": {"asc"}, "per_page": {"50"}},
	}, func(r *ghapi.Response) error {
		var page []struct {
			ID int64 `json:"id"`
		}
		if err := r.Decode(&page); err != nil {
			return err
		}
		for _, issue := range page {
			if seen[issue.ID] {
				t.Errorf("issue %d came twice", issue.ID)
			}
			seen[issue.ID] = true
		}
		return nil
	})
	if err != nil || len(seen) != want.Issues+want.PullRequests {
		t.Errorf("%d of %d issues: %v", len(seen), want.Issues+want.PullRequests, err)
	}
	if n := int64(len(sim.Requests())); n != c.Requests() {
		t.Errorf("the counter says %d, the server saw %d", c.Requests(), n)
	}
	limits := c.Limits()
	if len(limits) != 1 || limits[0].Resource != "core" || limits[0].Limit != 5000 || limits[0].Remaining >= 5000 || !limits[0].WaitingUntil.IsZero() {
		t.Errorf("limits %+v", limits)
	}
}

func TestConditionalRead(t *testing.T) {
	t.Parallel()
	sim, c, repo := simulated(t, githubsim.Config{Issues: 10})
	first, err := c.Get(t.Context(), "repos/"+repo+"/issues", nil)
	if err != nil || first.ETag == "" {
		t.Fatalf("%+v %v", first, err)
	}
	again, err := c.Do(t.Context(), ghapi.Request{Path: "repos/" + repo + "/issues", IfNoneMatch: first.ETag})
	if err != nil || !again.NotModified {
		t.Errorf("%+v %v", again, err)
	}
	title := "new"
	if _, err := sim.CreateIssue(repo, "", githubsim.IssueEdit{Title: &title}); err != nil {
		t.Fatal(err)
	}
	if again, err = c.Do(t.Context(), ghapi.Request{Path: "repos/" + repo + "/issues", IfNoneMatch: first.ETag}); err != nil || again.NotModified {
		t.Errorf("%+v %v", again, err)
	}
}

func TestOldNameOfARepository(t *testing.T) {
	t.Parallel()
	sim, c, repo := simulated(t, githubsim.Config{})
	before, err := sim.Repository(repo)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sim.CreateRepository("octo/x", false); err != nil { // makes the owner
		t.Fatal(err)
	}
	if err := sim.RenameRepository(repo, "octo/renamed"); err != nil {
		t.Fatal(err)
	}
	var got struct {
		ID       int64  `json:"id"`
		FullName string `json:"full_name"`
	}
	resp, err := c.Get(t.Context(), "repos/"+repo, nil)
	if err == nil {
		err = resp.Decode(&got)
	}
	if err != nil || got.ID != before.ID || got.FullName != "octo/renamed" {
		t.Errorf("%+v %v", got, err)
	}
	resp, err = c.Do(t.Context(), ghapi.Request{Method: "POST", Path: "repos/" + repo + "/issues", Body: json.RawMessage(`{"title":"by the old name"}`)})
	if err != nil || resp.Status != 201 {
		t.Fatalf("%v", err)
	}
	issues, err := sim.Issues("octo/renamed")
	if err != nil || len(issues) != 1 || issues[0].Title != "by the old name" {
		t.Errorf("%+v %v", issues, err)
	}
}

func TestSecondaryLimitWithoutHeaders(t *testing.T) {
	t.Parallel()
	limits := githubsim.GitHubSecondaryLimits()
	limits.ContentPerMinute, limits.Bare = 2, true
	sim, c, repo := simulated(t, githubsim.Config{Secondary: limits})
	var err error
	for range 3 {
		_, err = c.Do(t.Context(), ghapi.Request{Method: "POST", Path: "repos/" + repo + "/issues", Body: map[string]string{"title": "x"}})
	}
	e, ok := errors.AsType[*ghapi.Error](err)
	if !ok || e.Class != ghapi.ClassLimited || time.Until(e.RetryAt) < 50*time.Second {
		t.Fatalf("%v", err)
	}
	if _, err := c.Get(t.Context(), "repos/"+repo, nil); ghapi.ClassOf(err) != ghapi.ClassLimited {
		t.Errorf("a read went out while GitHub limits: %v", err)
	}
	if n := len(sim.Requests()); n != 3 {
		t.Errorf("%d requests", n)
	}
}

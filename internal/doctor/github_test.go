package doctor

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/contract"
	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/internal/githubsim/githubsimtest"
)

const scratch = "octavia/scratch"

func simulator(t *testing.T, cfg githubsim.Config) *githubsimtest.Running {
	t.Helper()
	sim := githubsimtest.Start(t, cfg)
	if _, err := sim.CreateRepository(scratch, false); err != nil {
		t.Fatal(err)
	}
	return sim
}

func client(t *testing.T, sim *githubsimtest.Running, token string) *ghapi.Client {
	t.Helper()
	api, err := ghapi.New(ghapi.Config{BaseURL: sim.URL, Token: token, RetryDelay: time.Millisecond, MaxWait: 5 * time.Second, Logger: slog.New(slog.DiscardHandler),
		Transport: contract.Transport(t, nil)})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

func TestGitHub(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		cfg        githubsim.Config
		prepare    func(t *testing.T, sim *githubsimtest.Running) (token string)
		repos      []string
		level      Level
		what, text string
	}{
		{name: "token", level: OK, what: "token", text: "belongs to octavia"},
		{name: "clock", level: OK, what: "clock", text: "in step"},
		{name: "limits", level: OK, what: "limits", text: "of core"},
		{name: "named", repos: []string{scratch}, level: OK, what: scratch, text: "may write"},
		{name: "visible", level: OK, what: "repositories", text: "1 can be read"},
		{name: "unknown token", prepare: func(*testing.T, *githubsimtest.Running) string { return "ghp_wrong" }, level: Fail, what: "token", text: "GITHUB_TOKEN"},
		{name: "no such repository", repos: []string{"octavia/none"}, level: Fail, what: "octavia/none", text: "does not show it"},
		{name: "renamed", repos: []string{scratch}, prepare: func(t *testing.T, sim *githubsimtest.Running) string {
			if err := sim.RenameRepository(scratch, "octavia/renamed"); err != nil {
				t.Fatal(err)
			}
			return sim.Token()
		}, level: Warn, what: scratch, text: "octavia/renamed"},
		{name: "archived", repos: []string{scratch}, prepare: func(t *testing.T, sim *githubsimtest.Running) string {
			yes := true
			if err := sim.SetRepository(scratch, githubsim.RepositorySettings{Archived: &yes}); err != nil {
				t.Fatal(err)
			}
			return sim.Token()
		}, level: Warn, what: scratch, text: "archived"},
		{name: "without push", repos: []string{scratch}, prepare: func(t *testing.T, sim *githubsimtest.Running) string {
			token, err := sim.AddUser("reader", map[string]githubsim.Permission{scratch: githubsim.Read})
			if err != nil {
				t.Fatal(err)
			}
			return token
		}, level: Warn, what: scratch, text: "without push permission"},
		{name: "nothing left", cfg: githubsim.Config{PrimaryLimit: 1}, prepare: func(t *testing.T, sim *githubsimtest.Running) string {
			if _, err := client(t, sim, sim.Token()).Do(context.Background(), ghapi.Request{Path: "user"}); err != nil {
				t.Fatal(err)
			}
			return sim.Token()
		}, level: Fail, what: "limits", text: "nothing is left of core"},
		{name: "clocks apart", prepare: func(_ *testing.T, sim *githubsimtest.Running) string {
			sim.AddFault(githubsim.Fault{Path: "/rate_limit",
				Header: map[string]string{"Date": time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)}})
			return sim.Token()
		}, level: Fail, what: "clock", text: "NTP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim := simulator(t, tt.cfg)
			token := sim.Token()
			if tt.prepare != nil {
				token = tt.prepare(t, sim)
			}
			var out strings.Builder
			r := NewReport(&out)
			api := client(t, sim, token)
			if GitHub(context.Background(), api, r) && tt.name != "nothing left" {
				Repositories(context.Background(), api, tt.repos, r)
			}
			if !r.has(tt.level, tt.what, tt.text) || (r.Count(Fail) > 0) != (tt.level == Fail) {
				t.Errorf("the findings are\n%s", out.String())
			}
		})
	}
}

func TestGitHubOutOfReach(t *testing.T) {
	t.Parallel()
	sim := simulator(t, githubsim.Config{})
	sim.AddFault(githubsim.Fault{Path: "**", Cut: githubsim.CutBefore})
	var out strings.Builder
	r := NewReport(&out)
	if GitHub(context.Background(), client(t, sim, sim.Token()), r) || !r.has(Fail, "github", "github-url") {
		t.Errorf("the findings are\n%s", out.String())
	}
}

// TestLive: everything that is made is gone afterwards, or closed.
func TestLive(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		cfg        githubsim.Config
		permission githubsim.Permission
		grants     map[string]string
		fault      *githubsim.Fault
		level      Level
		what, text string
		left       int
		failed     bool
	}{
		{name: "all permitted", permission: githubsim.Admin, level: OK, what: "delete", text: "is deleted"},
		{name: "reads lag", permission: githubsim.Admin, cfg: githubsim.Config{ReadLag: time.Second}, level: OK, what: "read after write", text: "after"},
		{name: "may not delete", permission: githubsim.Push, level: Warn, what: "delete", text: "repository admin or owner", left: 2},
		{name: "may only read and comment", permission: githubsim.Read, level: Warn, what: "label", text: "no label can be made", left: 2, failed: true},
		{name: "token may only read", permission: githubsim.Admin, grants: map[string]string{"issues": "read"}, level: Fail, what: "create", text: "no issue can be made", failed: true},
		{name: "no Link header", permission: githubsim.Admin, fault: &githubsim.Fault{Method: "GET", Path: "/repositories/*/issues", Status: 200, Body: `[]`, Skip: 1}, level: Fail, what: "paging", text: "ends after one page", failed: true},
		{name: "other form of 422", permission: githubsim.Admin, fault: &githubsim.Fault{Method: "POST", Path: "**/issues", Status: 422, Body: `{"message":"no","documentation_url":"https://docs.github.com/rest"}`, Skip: 1, Count: 1}, level: Fail, what: "validation", text: "does not say which field", failed: true},
		{name: "update refused", permission: githubsim.Admin, fault: &githubsim.Fault{Method: "PATCH", Path: "**/issues/*", Status: 403, Body: `{"message":"Resource not accessible"}`, Count: 1}, level: Fail, what: "update", text: "GitHub", failed: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sim := simulator(t, tt.cfg)
			token, err := sim.AddUser("tester", map[string]githubsim.Permission{scratch: tt.permission})
			if tt.grants != nil {
				token, err = sim.AddFineGrainedToken("tester", map[string]githubsim.Permission{scratch: tt.permission}, tt.grants)
			}
			if err != nil {
				t.Fatal(err)
			}
			labels, err := sim.Labels(scratch)
			if err != nil {
				t.Fatal(err)
			}
			if tt.fault != nil {
				sim.AddFault(*tt.fault)
			}
			var out strings.Builder
			r := NewReport(&out)
			try(context.Background(), client(t, sim, token), scratch, r, slices.Repeat([]time.Duration{50 * time.Millisecond}, 40))
			if !r.has(tt.level, tt.what, tt.text) || (r.Count(Fail) > 0) != tt.failed {
				t.Errorf("the findings are\n%s", out.String())
			}
			issues, err := sim.Issues(scratch)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range issues {
				if i.State != "closed" {
					t.Errorf("issue %d is left %s", i.Number, i.State)
				}
			}
			if after, err := sim.Labels(scratch); err != nil || len(after) != len(labels) || len(issues) != tt.left {
				t.Errorf("%d issues and %d labels are left (%v)\n%s", len(issues), len(after)-len(labels), err, out.String())
			}
		})
	}
}

// TestLiveInterrupted cleans up all the same.
func TestLiveInterrupted(t *testing.T) {
	t.Parallel()
	sim := simulator(t, githubsim.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r := NewReport(writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "update:") {
			cancel()
		}
		return len(p), nil
	}))
	Live(ctx, client(t, sim, sim.Token()), scratch, r)
	issues, err := sim.Issues(scratch)
	if err != nil || len(issues) != 0 || ctx.Err() == nil {
		t.Errorf("%d issues are left (%v): %v", len(issues), err, fmt.Sprint(r.Findings()))
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

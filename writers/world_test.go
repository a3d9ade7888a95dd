package writers

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/contract"
	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/internal/githubsim/githubsimtest"
	"github.com/pghub/pghub/schema"
)

const repoName = "octo/repo"

// world is a simulated GitHub with one repository, one issue in it, and
// writers for its administrator.
type world struct {
	t    testing.TB
	sim  *githubsimtest.Running
	repo githubsim.Repository
	mile githubsim.Milestone
	old  githubsim.Issue
	maps mirror
	w    *Writers
}

func newWorld(t testing.TB) *world {
	t.Helper()
	sim := githubsimtest.Start(t, githubsim.Config{Seed: 1})
	v := &world{t: t, sim: sim}
	var err error
	if v.repo, err = sim.CreateRepository(repoName, false); err != nil {
		t.Fatal(err)
	}
	if v.mile, err = sim.CreateMilestone(repoName, "v1"); err != nil {
		t.Fatal(err)
	}
	if _, err := sim.AddUser("ann", map[string]githubsim.Permission{repoName: githubsim.Push}); err != nil {
		t.Fatal(err)
	}
	title, body := "Old title", "Old body"
	if v.old, err = sim.CreateIssue(repoName, "ann", githubsim.IssueEdit{Title: &title, Body: &body, Labels: []string{"bug"}}); err != nil {
		t.Fatal(err)
	}
	v.maps = mirror{
		repositories: map[int64]string{v.repo.ID: repoName},
		milestones:   map[int64][2]int64{v.mile.ID: {v.repo.ID, v.mile.Number}},
	}
	v.w = v.writers(sim.Token())
	sim.ResetRequests()
	return v
}

func (v *world) writers(token string, change ...func(*ghapi.Config)) *Writers {
	v.t.Helper()
	cfg := ghapi.Config{
		BaseURL: v.sim.URL, Token: token, RetryDelay: time.Millisecond, MaxWait: 5 * time.Second,
		Logger: slog.New(slog.DiscardHandler), Transport: contract.Transport(v.t, nil),
	}
	for _, f := range change {
		f(&cfg)
	}
	api, err := ghapi.New(cfg)
	if err != nil {
		v.t.Fatal(err)
	}
	return New(api, v.maps, WithSettle(time.Millisecond, time.Millisecond, time.Millisecond), WithLogger(slog.New(slog.DiscardHandler)))
}

// user returns writers for somebody with that permission.
func (v *world) user(login string, p githubsim.Permission) *Writers {
	v.t.Helper()
	token, err := v.sim.AddUser(login, map[string]githubsim.Permission{repoName: p})
	if err != nil {
		v.t.Fatal(err)
	}
	return v.writers(token)
}

// row is what the trigger would report as the stored row.
func (v *world) row(number int64) map[string]json.RawMessage {
	v.t.Helper()
	raw, err := v.sim.RawIssue(repoName, number)
	if err != nil {
		v.t.Fatal(err)
	}
	row, err := schema.Issue.Decode(raw, schema.Scope{RepositoryID: v.repo.ID})
	if err != nil {
		v.t.Fatal(err)
	}
	text, err := row.JSON()
	if err != nil {
		v.t.Fatal(err)
	}
	m := columns(v.t, string(text))
	delete(m, "payload")
	return m
}

func (v *world) plan(w *Writers, c Change) *Planned {
	v.t.Helper()
	c.Table = "issue"
	if c.Op == Insert {
		c.New["repository_id"], _ = json.Marshal(v.repo.ID)
	}
	if m, ok := c.New["milestone_id"]; ok && string(m) == `"v1"` {
		c.New["milestone_id"], _ = json.Marshal(v.mile.ID)
	}
	p, err := w.Check(v.t.Context(), c)
	if err != nil {
		v.t.Fatal(err)
	}
	return p
}

func (v *world) insert(w *Writers, new string) (Result, error) {
	return w.Apply(v.t.Context(), v.plan(w, Change{Op: Insert, New: columns(v.t, new)}))
}

func (v *world) update(w *Writers, number int64, new string) (Result, error) {
	return w.Apply(v.t.Context(), v.plan(w, Change{Op: Update, Old: v.row(number), New: columns(v.t, new)}))
}

// requests are "METHOD rest-of-path" of all requests so far.
func (v *world) requests() string {
	var out []string
	for _, r := range v.sim.Requests() {
		path := strings.TrimPrefix(strings.TrimPrefix(r.Path, "/"), "repos/"+repoName+"/")
		out = append(out, r.Method+" "+path)
	}
	return strings.Join(out, ", ")
}

func (v *world) wantRequests(want string) {
	v.t.Helper()
	if got := v.requests(); got != want {
		v.t.Errorf("requests: %s\n    want: %s", got, want)
	}
}

func (v *world) issue(number int64) githubsim.Issue {
	v.t.Helper()
	i, err := v.sim.Issue(repoName, number)
	if err != nil {
		v.t.Fatal(err)
	}
	return i
}

func (v *world) count() int {
	v.t.Helper()
	issues, err := v.sim.Issues(repoName)
	if err != nil {
		v.t.Fatal(err)
	}
	return len(issues)
}

// refused checks the SQLSTATE and that each of the words is said somewhere.
func refused(t testing.TB, err error, code string, says ...string) *Refusal {
	t.Helper()
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		t.Fatalf("got %v, want a refusal with %s", err, code)
	}
	all := r.Message + "\n" + r.Detail + "\n" + r.Hint
	if r.SQLSTATE != code {
		t.Errorf("got %s, want %s:\n%s", r.SQLSTATE, code, all)
	}
	for _, words := range says {
		if !strings.Contains(all, words) {
			t.Errorf("it does not say %q:\n%s", words, all)
		}
	}
	return r
}

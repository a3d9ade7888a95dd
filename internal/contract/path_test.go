package contract_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/internal/contract"
	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/syncer"
	"github.com/pghub/pghub/writers"
)

// patience bounds how long a test waits for what must happen.
const patience = time.Minute

func (c *client) api() *ghapi.Client {
	c.t.Helper()
	api, err := ghapi.New(ghapi.Config{
		BaseURL: c.sim.URL, Token: c.token, PointsPerMinute: -1, RetryDelay: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
		Transport: contract.Transport(c.t, nil),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return api
}

// same waits until the mirror holds the issues that the simulator has.
func same(t *testing.T, ctx context.Context, c *client, pool *pgxpool.Pool, repo string) {
	t.Helper()
	var have, want []string
	for ctx.Err() == nil {
		issues, err := c.sim.Issues(repo)
		if err != nil {
			t.Fatal(err)
		}
		want = nil
		for _, i := range issues {
			if !i.PullRequest {
				want = append(want, fmt.Sprint(i.ID, i.Number, i.Title, i.State, i.Labels, i.Locked, i.Comments))
			}
		}
		rows, err := pool.Query(ctx, `
SELECT i.id, i.number, i.title, i.state, i.labels, i.locked, i.comments FROM github.issue i JOIN github.repository r ON r.id = i.repository_id WHERE r.full_name = $1`, repo)
		if err != nil {
			t.Fatal(err)
		}
		have, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (string, error) {
			var id, number, comments int64
			var title, state string
			var labels []string
			var locked bool
			err := r.Scan(&id, &number, &title, &state, &labels, &locked, &comments)
			return fmt.Sprint(id, number, title, state, labels, locked, comments), err
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(want)
		slices.Sort(have)
		if slices.Equal(have, want) {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	t.Fatalf("the mirror has %d issues of %s, GitHub %d, and they differ", len(have), repo, len(want))
}

// TestSync has the syncer read everything and follow changes, each request and
// answer compared.
func TestSync(t *testing.T) {
	t.Parallel()
	c := start(t, githubsim.Config{Seed: 11, Repos: 3, Issues: 400})
	pool := database(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s, err := syncer.New(syncer.Config{Pool: pool, API: c.api(), PollInterval: 200 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.Run(run) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	name := strings.TrimPrefix(rocket, "/repos/")
	for {
		if ready, _, err := syncer.Ready(ctx, pool); err != nil {
			t.Fatal(err)
		} else if ready {
			break
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("the first backfill does not end")
		}
	}
	for _, r := range c.sim.Repositories() {
		same(t, ctx, c, pool, r.FullName)
	}
	everything(t, c, rocket)
	// Troubles, which must meet the syncer and not the requests of everything.
	c.sim.AddFault(githubsim.Fault{Method: "GET", Status: 502, Body: "<html>", Skip: 2, Count: 2})
	c.sim.AddFault(githubsim.Fault{Method: "GET", Cut: githubsim.CutDuring, Skip: 4, Count: 1})
	if err := c.sim.RenameLabel(name, "bug", "defect"); err != nil {
		t.Fatal(err)
	}
	same(t, ctx, c, pool, name)
	if err := c.sim.RenameRepository(name, "orbital-labs/missile"); err != nil {
		t.Fatal(err)
	}
	same(t, ctx, c, pool, "orbital-labs/missile")
}

// found answers a writer from one repository.
type found struct {
	id    int64
	name  string
	miles map[int64]int64 // numbers of milestones by id
}

func (f found) Repository(_ context.Context, id int64) (string, error) {
	if id != f.id {
		return "", writers.ErrNotFound
	}
	return f.name, nil
}

func (f found) Milestone(_ context.Context, id int64) (int64, int, error) {
	number, ok := f.miles[id]
	if !ok {
		return 0, 0, writers.ErrNotFound
	}
	return f.id, int(number), nil
}

// TestWrites sends each kind of change through the writers, and has each refused.
func TestWrites(t *testing.T) {
	t.Parallel()
	c := seeded(t)
	name := strings.TrimPrefix(rocket, "/repos/")
	repo, err := c.sim.Repository(name)
	if err != nil {
		t.Fatal(err)
	}
	miles, err := c.sim.Milestones(name)
	if err != nil || len(miles) == 0 {
		t.Fatal(err, "no milestones")
	}
	lookup := found{repo.ID, name, map[int64]int64{miles[0].ID: miles[0].Number}}
	reader, err := c.sim.AddUser("reader", map[string]githubsim.Permission{name: githubsim.Read})
	if err != nil {
		t.Fatal(err)
	}
	quiet := []writers.Option{writers.WithSettle(time.Millisecond), writers.WithLogger(slog.New(slog.DiscardHandler))}
	admin, other := writers.New(c.api(), lookup, quiet...), writers.New(c.as(reader).api(), lookup, quiet...)
	apply := func(w *writers.Writers, op writers.Op, old map[string]json.RawMessage, values j) (writers.Result, error) {
		t.Helper()
		change := writers.Change{Table: "issue", Op: op, Old: old}
		if values != nil {
			raw, err := json.Marshal(values)
			if err != nil {
				t.Fatal(err)
			}
			decode(t, raw, &change.New)
		}
		p, err := w.Check(t.Context(), change)
		if err != nil {
			t.Fatal(err)
		}
		return w.Apply(t.Context(), p)
	}
	columns := func(r writers.Result) map[string]json.RawMessage {
		t.Helper()
		raw, err := r.Row.JSON()
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]json.RawMessage
		decode(t, raw, &m)
		delete(m, "payload")
		return m
	}
	made, err := apply(admin, writers.Insert, nil, j{
		"repository_id": repo.ID, "title": "made 😀", "body": strings.Repeat("é", 65_536), "labels": []string{"bug", "c#"}, "assignees": []string{"octavia"},
		"milestone_id": miles[0].ID, "state": "closed", "state_reason": "not_planned", "locked": true, "active_lock_reason": "too heated",
	})
	if err != nil {
		t.Fatal(err)
	}
	at := columns(made)
	for _, values := range []j{
		{"title": "changed", "body": nil}, {"state": "open"}, {"locked": false}, {"labels": []string{}, "assignees": []string{}, "milestone_id": nil},
		{"labels": []string{"never seen"}}, {"state": "closed", "state_reason": "duplicate", "locked": true, "active_lock_reason": "off-topic"},
		{"active_lock_reason": "spam"},
	} {
		got, err := apply(admin, writers.Update, at, values)
		if err != nil {
			t.Fatalf("%v: %v", values, err)
		}
		at = columns(got)
		for column, want := range values {
			raw, _ := json.Marshal(want)
			var a, b any
			decode(t, raw, &a)
			decode(t, at[column], &b)
			if !reflect.DeepEqual(a, b) {
				t.Errorf("%s is %v, want %v", column, b, a)
			}
		}
	}
	if got, err := admin.Fetch(t.Context(), "issue", repo.ID, made.Row.ID(), made.Row.Get("number").(int64)); err != nil || got.Row == nil {
		t.Errorf("fetching: %v", err)
	}
	for _, tc := range []struct {
		op     writers.Op
		values j
	}{
		{writers.Insert, j{"repository_id": repo.ID, "title": "of a reader", "labels": []string{"bug"}}},
		{writers.Update, j{"title": "not mine"}}, {writers.Update, j{"locked": false}}, {writers.Delete, nil},
	} {
		old := at
		if tc.op == writers.Insert {
			old = nil
		}
		_, err := apply(other, tc.op, old, tc.values)
		if r, ok := errors.AsType[*writers.Refusal](err); !ok || r.SQLSTATE != "42501" {
			t.Errorf("%s %v by a reader: %v", tc.op, tc.values, err)
		}
	}
	// An answer that is lost: the issue is looked for, and found.
	c.sim.AddFault(githubsim.Fault{Method: "POST", Path: "**/issues", Cut: githubsim.CutAfter, Count: 1})
	if got, err := apply(admin, writers.Insert, nil, j{"repository_id": repo.ID, "title": "lost and found"}); err != nil || got.Row.Get("title") != "lost and found" {
		t.Errorf("a lost answer: %v", err)
	}
	if got, err := apply(admin, writers.Delete, at, nil); err != nil || !got.Deleted {
		t.Errorf("deleting: %v", err)
	}
	if got, err := admin.Fetch(t.Context(), "issue", repo.ID, made.Row.ID(), made.Row.Get("number").(int64)); err != nil || !got.Deleted {
		t.Errorf("fetching what was deleted: %v", err)
	}
}

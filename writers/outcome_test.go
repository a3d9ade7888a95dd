package writers

import (
	"context"
	"encoding/json"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/contract"
	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/githubsim"
)

// lost are the ways in which an answer gets lost although GitHub acted.
func lost() map[string]githubsim.Fault {
	return map[string]githubsim.Fault{
		"cut":            {Cut: githubsim.CutAfter},
		"cut in between": {Cut: githubsim.CutDuring},
		"502":            {Status: 502, Body: "<html>", Apply: true},
		"503":            {Status: 503, Body: `{"message":"Service unavailable"}`, Apply: true},
		"stall":          {Apply: true, Delay: time.Minute},
	}
}

// never are the ways in which GitHub did not act, but does not say so.
func never() map[string]githubsim.Fault {
	return map[string]githubsim.Fault{
		"cut": {Cut: githubsim.CutBefore},
		"502": {Status: 502, Body: "<html>"},
		"503": {Status: 503, Body: `{"message":"Service unavailable"}`},
	}
}

// impatient returns writers that do not wait long for an answer that stalls.
func (v *world) impatient() *Writers {
	return v.writers(v.sim.Token(), func(c *ghapi.Config) { c.RequestTimeout = 3 * time.Second })
}

func (v *world) fault(f githubsim.Fault, method, path string, count int) {
	f.Method, f.Path, f.Count = method, path, count
	v.sim.AddFault(f)
}

func TestLostCreateIsAdopted(t *testing.T) {
	t.Parallel()
	for name, f := range lost() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			w := v.impatient()
			v.fault(f, "POST", "/repos/**/issues", 1)
			res, err := v.insert(w, `{"title":"Only once","body":"one\ntwo","labels":["bug"],"state":"closed"}`)
			if err != nil {
				t.Fatal(err)
			}
			if v.count() != 2 || v.sim.CountRequests("POST", "/repos/**/issues") != 1 {
				t.Errorf("%d issues after %s", v.count(), v.requests())
			}
			if got := v.issue(2); res.Row.ID() != got.ID || got.State != "closed" || res.Row.Get("state") != "closed" {
				t.Errorf("adopted %+v, GitHub has %+v", res.Row, got)
			}
		})
	}
}

func TestCreateThatNeverHappened(t *testing.T) {
	t.Parallel()
	for name, f := range never() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			v.fault(f, "POST", "/repos/**/issues", 1)
			res, err := v.insert(v.w, `{"title":"Never"}`)
			refused(t, err, "08007", "creating an issue in octo/repo", "No issue of this author")
			if res.Row != nil || v.count() != 1 || v.sim.CountRequests("POST", "/repos/**/issues") != 1 {
				t.Errorf("%+v, %d issues after %s", res.Row, v.count(), v.requests())
			}
		})
	}
}

func TestAdoptionIsExact(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	// Same content, but: made by this process before, by somebody else, with
	// another body, or a pull request.
	if _, err := v.insert(v.w, `{"title":"Twin"}`); err != nil {
		t.Fatal(err)
	}
	title, body := "Twin", "other"
	for _, edit := range []struct {
		login string
		githubsim.IssueEdit
	}{
		{"ann", githubsim.IssueEdit{Title: &title}},
		{v.sim.Login(), githubsim.IssueEdit{Title: &title, Body: &body}},
		{v.sim.Login(), githubsim.IssueEdit{Title: &title, PullRequest: true}},
	} {
		if _, err := v.sim.CreateIssue(repoName, edit.login, edit.IssueEdit); err != nil {
			t.Fatal(err)
		}
	}
	v.fault(githubsim.Fault{Cut: githubsim.CutBefore}, "POST", "/repos/**/issues", 1)
	_, err := v.insert(v.w, `{"title":"Twin"}`)
	refused(t, err, "08007", "No issue of this author")

	before := v.count()
	v.fault(githubsim.Fault{Cut: githubsim.CutAfter}, "POST", "/repos/**/issues", 1)
	res, err := v.insert(v.w, `{"title":"Twin"}`)
	if err != nil || res.Row.Get("number") != int64(before+1) {
		t.Errorf("adopted %v, want #%d: %v", res.Row, before+1, err)
	}
}

func TestAdoptionOfTwoIsRefused(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	since := time.Now()
	title := "Twin"
	for range 2 {
		if _, err := v.sim.CreateIssue(repoName, v.sim.Login(), githubsim.IssueEdit{Title: &title}); err != nil {
			t.Fatal(err)
		}
	}
	p := v.plan(v.w, Change{Op: Insert, New: columns(t, `{"title":"Twin"}`)})
	_, found, err := v.w.FindCreated(t.Context(), p, since)
	refused(t, err, "08007", "#2", "#3")
	if found {
		t.Error("one of them was taken")
	}
	// One of them is known to be another write's.
	p.NotIDs = []int64{v.issue(3).ID}
	for range 2 { // a repair may have to look again
		res, found, err := v.w.FindCreated(t.Context(), p, since)
		if err != nil || !found || res.Row.Get("number") != int64(2) {
			t.Errorf("%v %v %v", res.Row, found, err)
		}
	}
	if _, found, err := v.w.FindCreated(t.Context(), p, since.Add(time.Minute)); err != nil || found {
		t.Errorf("an issue from before the create was taken: %v", err)
	}
}

func TestStaleListIsAskedAgain(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	v.fault(githubsim.Fault{Cut: githubsim.CutAfter}, "POST", "/repos/**/issues", 1)
	v.fault(githubsim.Fault{Status: 200, Body: `[]`}, "GET", "/repos/**/issues", 2)
	if res, err := v.insert(v.w, `{"title":"Late"}`); err != nil || res.Row.Get("title") != "Late" {
		t.Errorf("%v %v", res.Row, err)
	}
	if n := v.sim.CountRequests("GET", "/repos/**/issues"); n != 3 {
		t.Errorf("the list was read %d times", n)
	}
}

func TestLostUpdate(t *testing.T) {
	t.Parallel()
	const all = `{"title":"New","body":"a\r\nb","state":"closed","state_reason":"not_planned","labels":["x"],"assignees":["ann"],"milestone_id":"v1"}`
	check := func(t *testing.T, v *world, res Result, err error, patches int) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		got := v.issue(1)
		if got.Title != "New" || got.State != "closed" || res.Row.Get("title") != "New" || res.Row.Get("state_reason") != "not_planned" || res.Row.Get("milestone_id") != v.mile.ID {
			t.Errorf("GitHub has %+v, row %+v", got, res.Row)
		}
		if n := v.sim.CountRequests("PATCH", ""); n != patches {
			t.Errorf("%d PATCHes, want %d: %s", n, patches, v.requests())
		}
	}
	for name, f := range lost() {
		t.Run("applied, "+name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			w := v.impatient()
			v.fault(f, "PATCH", "", 1)
			res, err := v.update(w, 1, all)
			check(t, v, res, err, 1)
		})
	}
	for name, f := range never() {
		t.Run("not applied, "+name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			v.fault(f, "PATCH", "", 1)
			res, err := v.update(v.w, 1, all)
			check(t, v, res, err, 2)
		})
		t.Run("never applied, "+name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			v.fault(f, "PATCH", "", 0)
			res, err := v.update(v.w, 1, all)
			refused(t, err, "08007", "changing issue octo/repo#1", "does not show the change")
			if n := v.sim.CountRequests("PATCH", ""); n != 2 || v.issue(1).Title != "Old title" {
				t.Errorf("%d PATCHes", n)
			}
			if res.Row != nil {
				t.Errorf("nothing was accepted, but there is a row: %+v", res.Row)
			}
		})
	}
	t.Run("deleted meanwhile", func(t *testing.T) {
		t.Parallel()
		v := newWorld(t)
		v.fault(githubsim.Fault{Cut: githubsim.CutBefore}, "PATCH", "", 0)
		p := v.plan(v.w, Change{Op: Update, Old: v.row(1), New: columns(t, all)})
		if err := v.sim.DeleteIssue(repoName, 1); err != nil {
			t.Fatal(err)
		}
		res, err := v.w.Apply(t.Context(), p)
		refused(t, err, "08007", "deleted or transferred meanwhile")
		if res.Deleted || res.Row != nil {
			t.Errorf("nothing was accepted, but %+v", res)
		}
	})
	t.Run("nobody can tell", func(t *testing.T) {
		t.Parallel()
		v := newWorld(t)
		v.fault(githubsim.Fault{Cut: githubsim.CutAfter}, "", "", 0)
		res, err := v.update(v.w, 1, all)
		refused(t, err, "08007", "Looking at the issue failed")
		if n := v.sim.CountRequests("PATCH", ""); n != 1 || res.Row != nil {
			t.Errorf("%d PATCHes, %+v", n, res.Row)
		}
	})
	t.Run("the client has gone", func(t *testing.T) {
		t.Parallel()
		v := newWorld(t)
		w := v.impatient()
		v.fault(githubsim.Fault{Apply: true, Delay: time.Minute}, "PATCH", "", 1)
		p := v.plan(w, Change{Op: Update, Old: v.row(1), New: columns(t, all)})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			defer cancel()
			for v.sim.CountRequests("PATCH", "") == 0 && t.Context().Err() == nil {
				runtime.Gosched()
			}
		})
		res, err := w.Apply(ctx, p)
		wg.Wait()
		check(t, v, res, err, 1)
	})
}

func TestLostLock(t *testing.T) {
	t.Parallel()
	for name, f := range lost() {
		t.Run("applied, "+name, func(t *testing.T) {
			t.Parallel()
			if name == "cut in between" {
				t.Skip("204 has no body that could be cut")
			}
			v := newWorld(t)
			w := v.impatient()
			v.fault(f, "PUT", "", 1)
			res, err := v.update(w, 1, `{"locked":true,"active_lock_reason":"spam"}`)
			if err != nil || res.Row.Get("active_lock_reason") != "spam" || v.sim.CountRequests("PUT", "") != 1 {
				t.Errorf("%+v %v after %s", res.Row, err, v.requests())
			}
		})
	}
	for name, f := range never() {
		t.Run("not applied, "+name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			v.fault(f, "PUT", "", 1)
			res, err := v.update(v.w, 1, `{"locked":true}`)
			if err != nil || res.Row.Get("locked") != true || v.sim.CountRequests("PUT", "") != 2 {
				t.Errorf("%+v %v after %s", res.Row, err, v.requests())
			}
		})
	}
	t.Run("never shown", func(t *testing.T) {
		t.Parallel()
		v := newWorld(t)
		v.fault(githubsim.Fault{Status: 204}, "PUT", "", 0)
		res, err := v.update(v.w, 1, `{"locked":true}`)
		refused(t, err, "08007", "accepted the change of the lock")
		if res.Row != nil {
			t.Errorf("nothing was accepted, but there is a row: %+v", res.Row)
		}
		res, err = v.update(v.w, 1, `{"title":"kept","locked":true}`)
		refused(t, err, "08007", "changes of issue octo/repo#1 were stored")
		if res.Row == nil || res.Row.Get("title") != "kept" {
			t.Errorf("the accepted part is not told: %+v", res.Row)
		}
	})
}

func TestLostDelete(t *testing.T) {
	t.Parallel()
	del := func(v *world, w *Writers) (Result, error) {
		return w.Apply(t.Context(), v.plan(w, Change{Op: Delete, Old: v.row(1)}))
	}
	for name, f := range lost() {
		t.Run("applied, "+name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			w := v.impatient()
			v.fault(f, "POST", "/graphql", 1)
			if res, err := del(v, w); err != nil || !res.Deleted || v.count() != 0 || v.sim.CountRequests("POST", "") != 1 {
				t.Errorf("%+v %v after %s", res, err, v.requests())
			}
		})
	}
	for name, f := range never() {
		t.Run("not applied, "+name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			v.fault(f, "POST", "/graphql", 1)
			if res, err := del(v, v.w); err != nil || !res.Deleted || v.count() != 0 || v.sim.CountRequests("POST", "") != 2 {
				t.Errorf("%+v %v after %s", res, err, v.requests())
			}
		})
		t.Run("never applied, "+name, func(t *testing.T) {
			t.Parallel()
			v := newWorld(t)
			v.fault(f, "POST", "/graphql", 0)
			res, err := del(v, v.w)
			refused(t, err, "08007", "still there")
			if res.Deleted || res.Row != nil || v.count() != 1 {
				t.Errorf("%+v", res)
			}
		})
	}
}

// Nonsense is an answer of success that says nothing.
func TestNonsenseIsNoSuccess(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `<html>`, ``, `{"id":"x"}`} {
		v := newWorld(t)
		v.w = v.writers(v.sim.Token(), func(c *ghapi.Config) { c.Transport = contract.RequestsOnly(t, nil) })
		row := v.row(1)
		for _, method := range []string{"POST", "PATCH"} {
			v.fault(githubsim.Fault{Status: 200, Body: body, Apply: true}, method, "/repos/**", 1)
		}
		res, err := v.insert(v.w, `{"title":"Made"}`)
		if err != nil || res.Row.Get("title") != "Made" || v.count() != 2 {
			t.Errorf("create, %q: %v %v", body, res.Row, err)
		}
		if res, err = v.update(v.w, 1, `{"title":"New"}`); err != nil || res.Row.Get("title") != "New" || v.sim.CountRequests("PATCH", "") != 1 {
			t.Errorf("update, %q: %v %v", body, res.Row, err)
		}
		v.fault(githubsim.Fault{Status: 200, Body: body, Apply: true}, "POST", "/graphql", 1)
		if res, err = v.w.Apply(t.Context(), v.plan(v.w, Change{Op: Delete, Old: row})); err != nil || !res.Deleted || v.sim.CountRequests("POST", "/graphql") != 1 {
			t.Errorf("delete, %q: %v %v", body, res, err)
		}
		v.fault(githubsim.Fault{Status: 200, Body: body}, "POST", "/repos/**", 1)
		_, err = v.insert(v.w, `{"title":"Not made"}`)
		refused(t, err, "08007", "makes no sense", "No issue of this author")
	}
}

// An installation token has no user: the author cannot be asked for.
func TestAdoptionWithoutAUser(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	v.fault(githubsim.Fault{Status: 403, Body: `{"message":"Resource not accessible by integration"}`}, "GET", "/user", 0)
	v.fault(githubsim.Fault{Cut: githubsim.CutAfter}, "POST", "/repos/**/issues", 2)
	for _, title := range []string{"One", "Two"} {
		res, err := v.insert(v.w, `{"title":"`+title+`"}`)
		if err != nil || res.Row.Get("title") != title {
			t.Errorf("%v %v", res.Row, err)
		}
	}
	if n := v.sim.CountRequests("GET", "/user"); n != 1 {
		t.Errorf("the user was asked for %d times", n)
	}
}

func TestEarliestOnGitHubsClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 700e6, time.UTC)
	since := now.Add(-10 * time.Second)
	for ahead, want := range map[time.Duration]string{0: "11:59:49", time.Second: "11:59:49", -time.Hour: "10:59:49", time.Hour: "12:59:49"} {
		h := http.Header{"Date": {now.Add(ahead).Format(http.TimeFormat)}}
		if got := earliest(since, h, now).Format(time.TimeOnly); got != want {
			t.Errorf("GitHub's clock ahead by %v: %s, want %s", ahead, got, want)
		}
	}
	if got := earliest(since, http.Header{}, now).Format(time.TimeOnly); got != "11:59:49" {
		t.Errorf("without a Date: %s", got)
	}
}

// TestChangeComesBackFromJSON: the ledger keeps a create as JSON and plans it
// again after a restart.
func TestChangeComesBackFromJSON(t *testing.T) {
	t.Parallel()
	v := newWorld(t)
	since := time.Now()
	p := v.plan(v.w, Change{Op: Insert, New: columns(t, `{"title":"Again","body":"b","labels":["bug"],"id":null,"comments":null}`)})
	if _, err := v.w.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p.Values())
	if err != nil || strings.Contains(string(text), "comments") {
		t.Fatalf("%s %v", text, err)
	}
	restarted := v.writers(v.sim.Token())
	again := v.plan(restarted, Change{Op: Insert, New: columns(t, string(text))})
	res, found, err := restarted.FindCreated(t.Context(), again, since)
	if err != nil || !found || res.Row.Get("title") != "Again" {
		t.Errorf("%v %v %v", res.Row, found, err)
	}
}

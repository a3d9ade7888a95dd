package syncer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/githubsim"
)

// TestResume stops a syncer after some pages of issues; the next one goes on
// where it stopped.
func TestResume(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 23, Repos: 1, Issues: 900})
	repo := b.repos()[0]
	reached := make(chan struct{})
	once := sync.OnceFunc(func() { close(reached) })
	first := b.start(options{repos: []string{repo}, onStep: func(p Progress) {
		if p.Collection == "issue" && p.Done >= 300 {
			once()
		}
	}})
	select {
	case <-reached:
	case <-b.ctx.Done():
		t.Fatal("no third page")
	}
	first.stop()
	stored := scan[int64](b, `SELECT count(*) FROM github.issue`)
	if stored == 0 {
		t.Fatal("nothing was stored")
	}
	b.start(options{repos: []string{repo}})
	b.ready()
	b.same(repo)
	b.noPageTwice(1)
}

// TestResumeAfterKill: after kill -9 the job stays "running" in the queue, in
// the name of a client that is no more. The next syncer must not wait for
// River to notice.
func TestResumeAfterKill(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 29, Repos: 1, Issues: 700})
	repo := b.repos()[0]
	reached := make(chan struct{})
	once := sync.OnceFunc(func() { close(reached) })
	first := b.start(options{repos: []string{repo}, onStep: func(p Progress) {
		if p.Collection == "issue" && p.Done >= 200 {
			once()
		}
	}})
	select {
	case <-reached:
	case <-b.ctx.Done():
		t.Fatal("no second page")
	}
	first.stop()
	tag, err := b.pool.Exec(b.ctx, `
UPDATE pghub.river_job SET state = 'running', attempt = 1, attempted_at = now(), attempted_by = ARRAY[$1]
 WHERE kind = 'backfill' AND state = 'available' AND args ->> 'collection' = 'issue'`, first.identity.name())
	if err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("%d interrupted jobs, %v", tag.RowsAffected(), err)
	}
	b.start(options{repos: []string{repo}})
	b.ready()
	b.same(repo)
	b.noPageTwice(1)
}

// noPageTwice counts how often the pages of the first scan of issues were
// fetched.
func (b *bundle) noPageTwice(allowed int) {
	b.t.Helper()
	seen := map[string]int{}
	for _, r := range b.sim.Requests() {
		if strings.HasSuffix(r.Path, "/issues") && strings.Contains(r.Query, "direction=asc") && strings.Contains(r.Query, "sort=created") &&
			strings.HasPrefix(r.Path, "/repositories/") && r.Status == 200 {
			seen[r.Path+"?"+r.Query]++
		}
	}
	repeated := 0
	for _, n := range seen {
		repeated += n - 1
	}
	if repeated > allowed || len(seen) < 3 {
		b.t.Errorf("%d of %d pages of issues were fetched again, at most %d allowed", repeated, len(seen), allowed)
	}
}

// TestPrimaryLimit: a backfill that meets the limit waits for it visibly and
// goes on afterwards.
func TestPrimaryLimit(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 31, Repos: 1, Issues: 300})
	repo := b.repos()[0]
	until := time.Now().Add(3 * time.Second)
	fault := b.sim.AddFault(githubsim.Fault{
		Path: "/repositories/*/issues", Query: "sort=created", Skip: 1, Status: 403,
		Header: map[string]string{
			"X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": fmt.Sprint(until.Unix()), "X-Ratelimit-Resource": "core",
		},
		Body: `{"message":"API rate limit exceeded for user ID 1."}`,
	})
	r := b.start(options{repos: []string{repo}, api: ghapi.Config{MaxWait: time.Millisecond}})
	b.eventually("the limit shows in the status", func() string {
		list, err := r.Status(b.ctx)
		if err != nil {
			return err.Error()
		}
		for _, c := range list {
			if c.Collection == "issue" && c.State == StateLimited && !c.WaitingUntil.IsZero() && c.LastError == "" {
				return ""
			}
		}
		return fmt.Sprintf("%+v", list)
	})
	b.sim.RemoveFault(fault)
	b.ready()
	b.same(repo)
	waited := false
	for _, p := range r.sink.list() {
		waited = waited || p.State == StateLimited && !p.WaitingUntil.IsZero()
	}
	if !waited {
		t.Error("the limit was not reported as progress")
	}
}

// TestHeldRow: a row that a client's transaction holds does not stop the
// others, and is brought up to date once it is free.
func TestHeldRow(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 37, Repos: 1, Issues: 40})
	repo := b.repos()[0]
	held := b.open(repo, map[string]any{"title": "held"})
	free := b.open(repo, map[string]any{"title": "free"})
	b.start(options{repos: []string{repo}})
	b.ready()
	b.same(repo)
	tx, err := b.pool.Begin(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(b.ctx))
	if _, err := tx.Exec(b.ctx, `SELECT FROM github.issue WHERE number = $1 FOR UPDATE`, held); err != nil {
		t.Fatal(err)
	}
	b.edit(repo, held, map[string]any{"title": "held, edited"})
	b.edit(repo, free, map[string]any{"title": "free, edited"})
	b.eventually("the free row", func() string {
		if title := scan[string](b, `SELECT title FROM github.issue WHERE number = $1`, free); title != "free, edited" {
			return title
		}
		return ""
	})
	b.eventually("a refetch is queued", func() string {
		if scan[int64](b, `SELECT count(*) FROM pghub.river_job WHERE kind = 'refetch' AND args ->> 'number' = $1`, fmt.Sprint(held)) == 0 {
			return "none"
		}
		return ""
	})
	if title := scan[string](b, `SELECT title FROM github.issue WHERE number = $1`, held); title != "held" {
		t.Errorf("the held row is %q", title)
	}
	if err := tx.Rollback(b.ctx); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
		t.Fatal(err)
	}
	b.same(repo)
}

// TestStoredLinkRefused: a link that GitHub does not take any more (here: its
// address changed) starts the list over instead of ending the backfill.
func TestStoredLinkRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 67, Repos: 1, Issues: 250})
	repo := b.repos()[0]
	hold := b.sim.AddFault(githubsim.Fault{Path: "/repositories/*/issues", Query: "sort=created", Skip: 3, Status: 500})
	first := b.start(options{repos: []string{repo}})
	b.eventually("a page is stored", func() string {
		if scan[int64](b, `SELECT count(*) FROM github.issue`) == 0 {
			return "none"
		}
		return ""
	})
	first.stop()
	b.sim.RemoveFault(hold)
	if tag, err := b.pool.Exec(b.ctx, `UPDATE pghub.sync_state SET next_url = 'http://github.invalid/repositories/1/issues?page=2' WHERE collection = 'issue' AND next_url LIKE 'http%'`); err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("%v, %v", tag, err)
	}
	b.start(options{repos: []string{repo}})
	b.ready()
	b.same(repo)
}

// TestOpenCreate: an issue that a client's INSERT is about to store is left to
// it; when the client is done and did not store it, the syncer does.
func TestOpenCreate(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 71, Repos: 1, Issues: 20})
	repo := b.repos()[0]
	b.start(options{repos: []string{repo}})
	b.ready()
	b.same(repo)
	entry := scan[int64](b, `
INSERT INTO pghub.write (statement, ordinal, table_name, op, repository_id, change, role, application, kind, proxy, pid, xid)
SELECT nextval('pghub.write_statement'), 0, 'issue', 'insert', id, '{}', 'app', '', 'insert', 1, 1, pg_current_xact_id() FROM github.repository
RETURNING id`)
	n := b.open(repo, map[string]any{"title": "by a client"})
	old := b.open(repo, map[string]any{"title": "somebody else's"})
	b.edit(repo, 1, map[string]any{"title": "an edit meanwhile"})
	b.eventually("known rows are kept current", func() string {
		if scan[int64](b, `SELECT count(*) FROM github.issue WHERE title = 'an edit meanwhile'`) == 0 {
			return "not yet"
		}
		return ""
	})
	count := func() int64 {
		return scan[int64](b, `SELECT count(*) FROM github.issue WHERE number = ANY ($1)`, []int64{n, old})
	}
	if found := count(); found != 0 {
		t.Errorf("%d new rows are in the mirror while a create has no answer", found)
	}
	answered := scan[int64](b, `UPDATE pghub.write SET row_id = $2, number = $3, status = 'answered' WHERE id = $1 RETURNING row_id`, entry, b.issueID(repo, n), n)
	b.eventually("the other new row arrives", func() string {
		if scan[int64](b, `SELECT count(*) FROM github.issue WHERE number = $1`, old) == 0 {
			return "not yet"
		}
		return ""
	})
	if found := count(); found != 1 {
		t.Errorf("issue %d, which the client is about to store, is in the mirror", answered)
	}
	b.exec(`UPDATE pghub.write SET closed_at = clock_timestamp(), status = 'repaired' WHERE id = $1`, entry)
	b.same(repo)
}

func (b *bundle) issueID(repo string, n int64) int64 {
	b.t.Helper()
	i, err := b.sim.Issue(repo, n)
	if err != nil {
		b.t.Fatal(err)
	}
	return i.ID
}

// TestStop: Run ends soon and with its jobs put back.
func TestStop(t *testing.T) {
	t.Parallel()
	b := setup(t, githubsim.Config{Seed: 41, Repos: 1, Issues: 300})
	repo := b.repos()[0]
	b.sim.AddFault(githubsim.Fault{Path: "**/issues", Query: "sort=created", Delay: time.Hour})
	r := b.start(options{repos: []string{repo}})
	b.eventually("the backfill hangs", func() string {
		if b.sim.Faults()[0].Hits == 0 {
			return "no request yet"
		}
		return ""
	})
	r.stop()
	if n := scan[int64](b, `SELECT count(*) FROM pghub.river_job WHERE state = 'running'`); n != 0 {
		t.Errorf("%d jobs are left running", n)
	}
	if n := scan[int64](b, `SELECT count(*) FROM pghub.river_job WHERE kind = 'backfill' AND args ->> 'collection' = 'issue' AND state = 'available'`); n != 1 {
		t.Errorf("%d interrupted backfills wait in the queue, want 1", n)
	}
	if n := scan[int64](b, `SELECT count(*) FROM pghub.sync_state WHERE last_error IS NOT NULL`); n != 0 {
		t.Error("the stop was recorded as an error")
	}
}

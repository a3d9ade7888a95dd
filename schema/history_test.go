package schema_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/pghub/pghub/schema"
)

// TestMirrorNeverGoesBack plays random histories of an issue: its states are fetched at random moments and arrive late,
// twice and out of order. States change without updated_at changing, because GitHub counts whole seconds. Whatever
// arrives, the stored state never becomes an earlier one, and one fresh fetch brings the last.
func TestMirrorNeverGoesBack(t *testing.T) {
	t.Parallel()
	_, pool, _ := mirror(t)
	upsert(t, pool, rowsOf(t, schema.Account, userObject(21, "hubot"), schema.Scope{})...)
	type answer struct {
		state   int
		fetched time.Time
		row     schema.Row
	}
	deferred := 0
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 0))
		id := int64(seed + 1)
		second, current := 0, 0
		fetch := func() answer {
			o := issueObject(id, id, octocat).with(object{"title": strconv.Itoa(current), "updated_at": at(second)})
			if random.IntN(3) == 0 {
				o = o.without("body", "closed_by", "reactions")
			}
			row, err := schema.Issue.Decode(o.raw(t), one)
			if err != nil {
				t.Fatal(err)
			}
			return answer{current, time.Now(), row}
		}
		var waiting []answer
		last := -1
		deliver := func(a answer) {
			deferred += len(upsertFetched(t, pool, a.fetched, a.row).Deferred)
			got, err := strconv.Atoi(stored(t, pool, schema.Issue, id, "title"))
			if err != nil {
				t.Fatal(err)
			}
			if got < last {
				t.Fatalf("seed %d: state %d came back after %d, with the answer of state %d", seed, got, last, a.state)
			}
			last = got
		}
		for range 40 {
			switch random.IntN(3) {
			case 0:
				current++
				second += random.IntN(2)
			case 1:
				waiting = append(waiting, fetch())
			default:
				if len(waiting) > 0 {
					deliver(waiting[random.IntN(len(waiting))])
				}
			}
		}
		deliver(fetch())
		if last != current {
			t.Errorf("seed %d: state %d after a fresh fetch of %d", seed, last, current)
		}
		for _, a := range waiting {
			deliver(a)
		}
		if last != current {
			t.Errorf("seed %d: state %d after late answers", seed, last)
		}
	}
	if deferred == 0 {
		t.Error("no history had a tie to defer: the test does not test it")
	}
}

// TestSessionsStoreTheSameRows lets several sessions store overlapping pages of new and changed rows at once, in
// different orders.
func TestSessionsStoreTheSameRows(t *testing.T) {
	t.Parallel()
	ctx, pool, _ := mirror(t)
	const pages, size, sessions = 6, 40, 4
	var group errgroup.Group
	for session := range sessions {
		group.Go(func() error {
			random := rand.New(rand.NewPCG(uint64(session), 1))
			for _, page := range random.Perm(pages) {
				var rows []schema.Row
				for _, i := range random.Perm(size) {
					n := int64(page*size/2 + i + 1) // half of each page is in the next one too
					o := issueObject(n, n, userObject(100+n%17, fmt.Sprintf("user%d", n%17))).with(object{
						"labels": []object{labelObject(200+n%5, fmt.Sprintf("label%d", n%5))}, "milestone": milestoneObject(300+n%3, octocat),
						"updated_at": at(session), "title": fmt.Sprintf("by session %d", session),
					})
					more, err := schema.Issue.Rows(o.raw(t), one)
					if err != nil {
						return err
					}
					rows = append(rows, more...)
				}
				// What is deferred because another session holds or has just inserted it is tried again, as the syncer does.
				for began := time.Now(); len(rows) > 0; {
					err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
						result, err := schema.Upsert(ctx, tx, rows, began)
						rows = result.Deferred
						return err
					})
					if err != nil {
						return err
					}
					began = time.Now()
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	last := fmt.Sprintf("by session %d", sessions-1)
	if got := query(t, pool, `SELECT count(*)::text FROM github.issue WHERE title = $1`, last); got[0] != strconv.Itoa((pages+1)*size/2) {
		t.Errorf("%s issues have the newest title, want %d", got[0], (pages+1)*size/2)
	}
}

// TestSeveralUpsertsInOneTransaction covers the staging tables, which outlive an Upsert but not a transaction.
func TestSeveralUpsertsInOneTransaction(t *testing.T) {
	t.Parallel()
	ctx, pool, _ := mirror(t)
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		for n := range int64(3) {
			rows := rowsOf(t, schema.Issue, issueObject(n+1, n+1, octocat), one)
			result, err := schema.Upsert(ctx, tx, rows, time.Now())
			if err != nil {
				return err
			}
			if result.Changed != 1 || len(result.Deferred) != 0 {
				return fmt.Errorf("issue %d: %+v", n+1, result)
			}
		}
		if result, err := schema.Upsert(ctx, tx, nil, time.Now()); err != nil || result.Changed != 0 {
			return fmt.Errorf("nothing to store: %+v, %w", result, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := query(t, pool, `SELECT count(*)::text FROM github.issue`); got[0] != "3" {
		t.Errorf("%s issues", got[0])
	}
}

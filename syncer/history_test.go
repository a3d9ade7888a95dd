package syncer

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/githubsim"
)

var histories = flag.Uint64("histories", 3, "how many random histories TestRandomHistories plays")

// TestRandomHistories lets random things happen at GitHub while the syncer
// backfills and polls, and restarts it at random; afterwards the mirror must
// equal GitHub. Each history can be repeated by its seed.
func TestRandomHistories(t *testing.T) {
	t.Parallel()
	for seed := range *histories {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			b := setup(t, githubsim.Config{Seed: int64(seed), Repos: 2, Issues: 250})
			h := &history{Rand: rand.New(rand.NewPCG(seed, 1)), b: b, repos: b.repos()}
			o := options{repos: h.repos}
			r := b.start(o)
			for range 120 {
				h.step()
				switch h.IntN(12) {
				case 0, 1:
					h.letSync()
				case 2:
					h.client()
				case 3, 4:
					h.release()
				}
				if h.IntN(40) == 0 {
					r.stop()
					r = b.start(o)
				}
			}
			h.release()
			b.ready()
			// What GitHub's lists do not show is told, as a webhook will.
			for _, gone := range h.gone {
				if err := r.Refetch(b.ctx, gone.RepositoryID, gone.Number); err != nil {
					t.Fatal(err)
				}
			}
			b.same(h.repos...)
		})
	}
}

type history struct {
	*rand.Rand
	b     *bundle
	repos []string
	gone  []refetchArgs
	last  int
	// held ends what clients of the proxy have under way.
	held []func()
}

// release lets the clients finish.
func (h *history) release() {
	for _, end := range h.held {
		end()
	}
	h.held = nil
}

// client holds a known row, or is about to store an unknown one.
func (h *history) client() {
	b := h.b
	if h.IntN(2) == 0 {
		tx, err := b.pool.Begin(b.ctx)
		if err != nil {
			b.t.Fatal(err)
		}
		if _, err := tx.Exec(b.ctx, `SELECT FROM github.issue ORDER BY hashint8(id + $1) LIMIT 5 FOR UPDATE SKIP LOCKED`, h.last); err != nil {
			b.t.Fatal(err)
		}
		h.held = append(h.held, func() { _ = tx.Rollback(b.ctx) })
		return
	}
	b.exec(`
INSERT INTO pghub.write (statement, ordinal, table_name, op, repository_id, change, role, application, kind, proxy, pid, xid)
SELECT nextval('pghub.write_statement'), 0, 'issue', 'insert', id, '{}', 'app', '', 'insert', 1, 1, pg_current_xact_id() FROM github.repository LIMIT 1`)
	h.held = append(h.held, func() { b.exec(`UPDATE pghub.write SET closed_at = clock_timestamp() WHERE closed_at IS NULL`) })
}

// letSync waits until the syncer got something done.
func (h *history) letSync() {
	h.b.t.Helper()
	before := scan[time.Time](h.b, `SELECT clock_timestamp()`)
	h.b.eventually("the syncer works", func() string {
		if scan[int64](h.b, `SELECT count(*) FROM pghub.sync_state WHERE last_sync_at > $1`, before) < 3 {
			return "nothing was synced"
		}
		return ""
	})
}

// step is one change. Errors of the simulator mean that the object is gone,
// which random choices hit now and then.
func (h *history) step() {
	sim, repo := h.b.sim, h.repos[h.IntN(len(h.repos))]
	h.last++
	text := fmt.Sprintf("step %d", h.last)
	issues, err := sim.Issues(repo)
	if err != nil {
		h.b.t.Fatal(err)
	}
	plain := issues[:0]
	for _, i := range issues {
		if !i.PullRequest {
			plain = append(plain, i)
		}
	}
	i := plain[h.IntN(len(plain))]
	labels, err := sim.Labels(repo)
	if err != nil {
		h.b.t.Fatal(err)
	}
	milestones, err := sim.Milestones(repo)
	if err != nil {
		h.b.t.Fatal(err)
	}
	comments, err := sim.Comments(repo)
	if err != nil {
		h.b.t.Fatal(err)
	}
	switch h.IntN(14) {
	case 0, 1:
		h.b.open(repo, map[string]any{"title": text, "body": text})
	case 2, 3:
		_, err = sim.EditIssue(repo, i.Number, "", githubsim.IssueEdit{Title: &text})
	case 4:
		state := []string{"open", "closed"}[h.IntN(2)]
		_, err = sim.EditIssue(repo, i.Number, "", githubsim.IssueEdit{State: state})
	case 5:
		set := []string{}
		for range h.IntN(4) {
			set = append(set, labels[h.IntN(len(labels))].Name)
		}
		_, err = sim.EditIssue(repo, i.Number, "", githubsim.IssueEdit{Labels: set})
	case 6:
		err = sim.RenameLabel(repo, labels[h.IntN(len(labels))].Name, text)
	case 7:
		if len(labels) > 3 {
			err = sim.DeleteLabel(repo, labels[h.IntN(len(labels))].Name)
		}
		if _, err := sim.CreateLabel(repo, text); err != nil {
			h.b.t.Fatal(err)
		}
	case 8:
		if len(milestones) > 0 && h.IntN(3) == 0 {
			err = sim.DeleteMilestone(repo, milestones[h.IntN(len(milestones))].Number)
		} else {
			_, err = sim.CreateMilestone(repo, text)
		}
	case 9:
		if len(milestones) > 0 {
			n := milestones[h.IntN(len(milestones))].Number
			_, err = sim.EditIssue(repo, i.Number, "", githubsim.IssueEdit{Milestone: &n})
		}
	case 10:
		_, err = sim.CreateComment(repo, i.Number, "", text)
	case 11:
		if len(comments) > 0 {
			c := comments[h.IntN(len(comments))]
			if h.IntN(2) == 0 {
				err = sim.EditComment(c.ID, text)
			} else if err = sim.DeleteComment(c.ID); err == nil {
				h.tell(repo, c.IssueNumber)
			}
		}
	case 12:
		if err = sim.DeleteIssue(repo, i.Number); err == nil {
			h.tell(repo, i.Number)
		}
	case 13:
		to := h.repos[0]
		if to == repo {
			to = h.repos[1]
		}
		if _, err = sim.TransferIssue(repo, i.Number, to); err == nil {
			h.tell(repo, i.Number)
		}
	}
	if err != nil && !strings.Contains(err.Error(), "no ") && !strings.Contains(err.Error(), "not") {
		h.b.t.Fatalf("%s: %v", text, err)
	}
}

func (h *history) tell(repo string, number int64) {
	r, err := h.b.sim.Repository(repo)
	if err != nil {
		h.b.t.Fatal(err)
	}
	h.gone = append(h.gone, refetchArgs{RepositoryID: r.ID, Number: number})
}

package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/schema"
)

type backfillWorker struct {
	river.WorkerDefaults[backfillArgs]
	s *Syncer
}

func (w *backfillWorker) NextRetry(job *river.Job[backfillArgs]) time.Time {
	return w.s.backoff(job.JobRow)
}

// Work advances a collection page by page until it is complete or the job's
// slice of time is used up.
func (w *backfillWorker) Work(ctx context.Context, job *river.Job[backfillArgs]) error {
	ctx = schema.WithOrigin(ctx, schema.OriginBackfill)
	c := collectionByName(job.Args.Collection)
	if c == nil {
		return river.JobCancel(fmt.Errorf("there is no collection %q", job.Args.Collection))
	}
	end := time.Now().Add(w.s.tune.slice)
	held := 0
	for resumed := true; ; resumed = false {
		more, err := w.s.backfillPage(ctx, c, job.Args.RepositoryID, resumed, held < pageHolds)
		if errors.Is(err, errPageHeld) {
			if held++; wait(ctx, 500*time.Millisecond) != nil {
				return context.Cause(ctx)
			}
			continue
		}
		if err != nil {
			return w.s.outcome(ctx, job.Args.RepositoryID, c.name, w.s.lost(ctx, job.Args.RepositoryID, err))
		}
		if !more {
			return nil
		}
		if time.Now().After(end) {
			return river.JobSnooze(0)
		}
	}
}

// While a client's INSERT waits for GitHub, no unknown row of its repository
// can be stored. A page of them is better read again a moment later than
// fetched row by row; after pageHolds such moments it is.
const (
	pageHolds    = 10
	rowsToRefuse = 5
)

var errPageHeld = errors.New("too many rows of the page must wait")

// backfillPage takes one step: it prepares the scan, or fetches and commits
// the page that the stored link points to. It returns false when nothing is
// left to do here.
func (s *Syncer) backfillPage(ctx context.Context, c *collection, repositoryID int64, resumed, patient bool) (more bool, err error) {
	p, err := load(ctx, s.pool, repositoryID, c.name)
	if err != nil || p.done() {
		return false, err
	}
	if p.Next == "" {
		return true, s.beginBackfills(ctx, c, p)
	}
	resp, err := s.api.Do(ctx, ghapi.Request{Path: p.Next})
	switch {
	case err == nil:
	case ghapi.ClassOf(err) == ghapi.ClassGone:
		// Issues are switched off in this repository: there are none.
		resp = &ghapi.Response{Body: []byte("[]"), StartedAt: time.Now()}
	case resumed && isAbsolute(p.Next) && staleLink(err):
		s.log.Warn("the link to the next page is no longer good, reading the list from its start", "repository", p.Repository, "collection", c.name, "cause", message(err))
		if p.Next = ""; p.Backfilled {
			p.Next = c.scanFrom(repositoryID)
		} else {
			p.Items, p.Rows = 0, 0
		}
		return true, p.save(ctx, s.pool)
	default:
		return false, fmt.Errorf("reading the next page of %s: %w", c.name, err)
	}
	var items []json.RawMessage
	if err := resp.Decode(&items); err != nil {
		return false, err
	}
	var out stored
	moved, first := false, false
	now := p
	err = inTx(ctx, s.pool, func(tx pgx.Tx) error {
		if now, err = load(ctx, tx, repositoryID, c.name); err != nil {
			return err
		}
		if moved = now.done() || now.Next != p.Next; moved {
			return nil
		}
		if out, err = s.store(ctx, tx, repositoryID, c, page{items, resp.StartedAt}); err != nil {
			return err
		}
		if patient && out.waiting > rowsToRefuse {
			return errPageHeld
		}
		now.Next = resp.Next
		if c.byTime {
			now.Next = c.onwards(repositoryID, p.Next, resp.Next, out.newest)
		}
		if now.Backfilled {
			// Read again, see rescan: nothing to count, nothing that waits.
			return now.save(ctx, tx)
		}
		if now.Items == 0 && now.Expected == 0 {
			now.Expected = int64(max(lastPage(resp.Header)*perPage, len(items)))
		}
		now.Items += int64(len(items))
		now.Rows += out.rows
		if first = resp.Next == ""; first {
			if c.byTime {
				// Pages overlapped by what changed in the same second.
				err := tx.QueryRow(ctx, `SELECT count(*) FROM `+pgx.Identifier{schema.Name, c.name}.Sanitize()+` WHERE repository_id = $1`, repositoryID).Scan(&now.Rows)
				if err != nil {
					return fmt.Errorf("counting the rows of %s: %w", c.name, err)
				}
				now.Items = now.Rows
			}
			now.Backfilled, now.State, now.Expected = true, StateLive, now.Items
			if err := s.completed(ctx, tx, c, repositoryID); err != nil {
				return err
			}
		}
		return now.save(ctx, tx)
	})
	if err != nil || moved {
		// Moved: another process reads the same list and was quicker.
		return !moved, err
	}
	if err := s.settleLate(ctx, repositoryID, out.late, resp.StartedAt); err != nil {
		return false, err
	}
	s.progress.Progress(now.progress())
	if first {
		s.log.Info("first backfill complete", "repository", now.Repository, "collection", c.name, "rows", now.Rows)
	}
	return !now.done(), nil
}

// beginBackfills begins with a collection and with those that wait for it, so
// that how much there is in all is known from the start.
func (s *Syncer) beginBackfills(ctx context.Context, c *collection, p position) error {
	if err := s.beginBackfill(ctx, c, p); err != nil {
		return err
	}
	for _, next := range collections {
		if next.after != c.name {
			continue
		}
		p, err := load(ctx, s.pool, p.RepositoryID, next.name)
		if err == nil && p.Next == "" && !p.Backfilled {
			err = s.beginBackfill(ctx, next, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// beginBackfill notes from where the first poll must start, and how much
// there is, both before the first page is read. The start is GitHub's newest
// updated_at rather than a time of ours, so that clocks play no part.
func (s *Syncer) beginBackfill(ctx context.Context, c *collection, p position) error {
	p.Cursor = cursor{}
	if c.newest != nil {
		newest, pages, err := s.foremost(ctx, c, p.RepositoryID, c.newest)
		if err != nil {
			return err
		}
		p.Cursor.Since, p.Expected = newest.UpdatedAt, pages
		if pages == 0 && c.numbered && newest.ID != 0 {
			youngest, _, err := s.foremost(ctx, c, p.RepositoryID, query("state", "all", "sort", "created", "direction", "desc", "per_page", "1"))
			if err != nil {
				return err
			}
			p.Expected = youngest.Number
		}
	}
	p.Next = c.scanFrom(p.RepositoryID)
	if err := p.save(ctx, s.pool); err != nil {
		return err
	}
	p.State = StateBackfilling
	s.progress.Progress(p.progress())
	return nil
}

// object is what of any GitHub object the syncer itself looks at.
type object struct {
	ID        int64     `json:"id"`
	Number    int64     `json:"number"`
	Comments  int64     `json:"comments"`
	UpdatedAt time.Time `json:"updated_at"`
}

// foremost reads the first object of a list, one to a page, and the number of
// pages. Both are zero when the list is empty, and the number also when GitHub
// does not tell it.
func (s *Syncer) foremost(ctx context.Context, c *collection, repositoryID int64, q url.Values) (first object, pages int64, err error) {
	resp, err := s.api.Do(ctx, ghapi.Request{Path: c.list(repositoryID), Query: q})
	if ghapi.ClassOf(err) == ghapi.ClassGone {
		return first, 0, nil
	}
	if err != nil {
		return first, 0, fmt.Errorf("asking for the newest object of %s: %w", c.name, err)
	}
	var list []object
	if err := resp.Decode(&list); err != nil || len(list) == 0 {
		return first, 0, err
	}
	if resp.Next == "" {
		return list[0], 1, nil
	}
	return list[0], int64(lastPage(resp.Header)), nil
}

// completed starts what had to wait for a collection.
func (s *Syncer) completed(ctx context.Context, tx pgx.Tx, done *collection, repositoryID int64) error {
	for _, c := range collections {
		if c.after != done.name {
			continue
		}
		if _, err := s.client.InsertTx(ctx, tx, backfillArgs{repositoryID, c.name}, nil); err != nil {
			return fmt.Errorf("queueing the backfill of %s: %w", c.name, err)
		}
	}
	if done != issueComment {
		return nil
	}
	// Comments that were deleted while we read are still there.
	numbers, err := miscountedAnywhere(ctx, tx, repositoryID)
	if err != nil {
		return err
	}
	return s.enqueueRefetches(ctx, tx, refetchesOf(repositoryID, numbers))
}

// errAccessLost says that GitHub no longer shows a repository, or never did.
var errAccessLost = errors.New("GitHub does not show the repository to this credential: it was deleted, or access to it was lost")

// lost tells a repository that cannot be seen any more from a single thing in
// it that is missing.
func (s *Syncer) lost(ctx context.Context, repositoryID int64, err error) error {
	if ghapi.ClassOf(err) != ghapi.ClassNotFound || errors.Is(err, errAccessLost) {
		return err
	}
	if _, again := s.api.Do(ctx, ghapi.Request{Path: repositoryPath(repositoryID)}); ghapi.ClassOf(again) == ghapi.ClassNotFound {
		return fmt.Errorf("%w (%w)", errAccessLost, err)
	}
	return err
}

func isAbsolute(link string) bool { return strings.Contains(link, "://") }

// staleLink tells that GitHub, or our client because the host has changed,
// will never accept a stored link again.
func staleLink(err error) bool {
	e, ok := errors.AsType[*ghapi.Error](err)
	return ok && (e.Class == ghapi.ClassValidation || e.Class == ghapi.ClassNotFound || e.Class == ghapi.ClassMoved)
}

var relLast = regexp.MustCompile(`<([^>]*)>[^,<]*rel="?last"?`)

// lastPage is the page number of the Link header's rel=last, 0 without one.
func lastPage(h http.Header) int {
	for _, link := range h.Values("Link") {
		m := relLast.FindStringSubmatch(link)
		if m == nil {
			continue
		}
		u, err := url.Parse(m[1])
		if err != nil {
			continue
		}
		if n, err := strconv.Atoi(u.Query().Get("page")); err == nil {
			return n
		}
	}
	return 0
}

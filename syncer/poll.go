package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/schema"
)

type pollWorker struct {
	river.WorkerDefaults[pollArgs]
	s *Syncer
}

func (w *pollWorker) NextRetry(job *river.Job[pollArgs]) time.Time { return w.s.backoff(job.JobRow) }

// Work brings one repository up to date. A collection that fails does not
// keep the others from being read, unless the reason concerns them all.
func (w *pollWorker) Work(ctx context.Context, job *river.Job[pollArgs]) error {
	ctx = schema.WithOrigin(ctx, schema.OriginPoll)
	s, id := w.s, job.Args.RepositoryID
	if err := s.pollRepository(ctx, id); errors.Is(err, errAccessLost) {
		// Recorded, and looked at again with the next poll.
		s.held(ctx, id, repositoryCollection, err)
		for _, c := range collections {
			s.held(ctx, id, c.name, err)
		}
		return nil
	} else if err != nil {
		return s.outcome(ctx, id, repositoryCollection, err)
	}
	var failed []error
	comments := map[int64]int64{}
	for _, c := range collections {
		var err error
		if c.changes != nil {
			err = s.pollChanges(ctx, c, id, comments)
		} else {
			err = s.pollList(ctx, c, id)
		}
		switch ghapi.ClassOf(err) {
		case ghapi.ClassLimited, ghapi.ClassUnauthorized:
			return s.outcome(ctx, id, c.name, err)
		case ghapi.ClassPermission:
			// Recorded, and tried again with the next poll.
			s.held(ctx, id, c.name, err)
			continue
		}
		if err != nil {
			if err = s.outcome(ctx, id, c.name, err); ctx.Err() != nil {
				return err
			}
			failed = append(failed, err)
		}
	}
	if len(comments) > 0 {
		if err := s.recount(ctx, id, comments); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// pollChanges reads what changed since the cursor. What GitHub says about
// numbers of comments goes to comments.
func (s *Syncer) pollChanges(ctx context.Context, c *collection, repositoryID int64, comments map[int64]int64) error {
	p, err := load(ctx, s.pool, repositoryID, c.name)
	if err != nil || !p.Backfilled {
		return err
	}
	var since time.Time
	if !p.Cursor.Since.IsZero() {
		since = p.Cursor.Since.Add(-s.tune.overlap)
	}
	next := c.since(repositoryID, since)
	tag := p.Cursor.tagOf(next)
	for first := true; next != ""; first = false {
		r := ghapi.Request{Path: next}
		if first {
			r.IfNoneMatch = tag
		}
		resp, err := s.api.Do(ctx, r)
		if ghapi.ClassOf(err) == ghapi.ClassGone {
			// Issues are switched off: nothing changes any more.
			return p.save(ctx, s.pool)
		}
		if err != nil {
			return fmt.Errorf("asking what changed in %s: %w", c.name, err)
		}
		if resp.NotModified {
			return p.save(ctx, s.pool)
		}
		var items []json.RawMessage
		if err := resp.Decode(&items); err != nil {
			return err
		}
		var out stored
		err = inTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
			if p, err = load(ctx, tx, repositoryID, c.name); err != nil {
				return err
			}
			if out, err = s.store(ctx, tx, repositoryID, c, page{items, resp.StartedAt}); err != nil {
				return err
			}
			if out.newest.After(p.Cursor.Since) {
				p.Cursor.Since = out.newest
			}
			p.Cursor.Pages = nil
			if first && resp.Next == "" && resp.ETag != "" {
				p.Cursor.Pages = []pageTag{{URL: next, ETag: resp.ETag}}
			}
			return p.save(ctx, tx)
		})
		if err != nil {
			return err
		}
		for number, said := range out.comments {
			if _, known := comments[number]; !known || said != unsaid {
				comments[number] = said
			}
		}
		if err := s.settleLate(ctx, repositoryID, out.late, resp.StartedAt); err != nil {
			return err
		}
		next = c.onwards(repositoryID, next, resp.Next, out.newest)
	}
	return nil
}

// tagOf is the ETag to send for a list of one page, "" if it is not known.
func (c cursor) tagOf(url string) string {
	if len(c.Pages) == 1 && c.Pages[0].URL == url {
		return c.Pages[0].ETag
	}
	return ""
}

// recount looks again at issues and pull requests that a poll saw and whose
// comments are not all in the mirror, or are no longer all at GitHub.
func (s *Syncer) recount(ctx context.Context, repositoryID int64, comments map[int64]int64) error {
	for _, name := range []string{issue.name, issueComment.name} {
		if p, err := load(ctx, s.pool, repositoryID, name); err != nil || !p.done() {
			return err
		}
	}
	return inTx(ctx, s.pool, func(tx pgx.Tx) error {
		off, err := miscounted(ctx, tx, repositoryID, comments)
		if err != nil {
			return err
		}
		return s.enqueueRefetches(ctx, tx, refetchesOf(repositoryID, off))
	})
}

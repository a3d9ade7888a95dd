package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/schema"
)

// Refetch queues a fresh read of one issue and, where their number differs
// from what the mirror holds, of its comments. An issue that GitHub deleted or
// that was transferred leaves the mirror. It returns once the job is stored.
func (s *Syncer) Refetch(ctx context.Context, repositoryID, number int64) error {
	return inTx(ctx, s.pool, func(tx pgx.Tx) error {
		return s.enqueueRefetches(ctx, tx, []refetchArgs{{RepositoryID: repositoryID, Number: number}})
	})
}

// enqueueRefetches queues each job once. When an equal job already runs it may
// have asked GitHub before there was a reason to, so another one follows it.
func (s *Syncer) enqueueRefetches(ctx context.Context, tx pgx.Tx, jobs []refetchArgs) error {
	const rounds = 3
	seen := map[refetchArgs]bool{}
	for _, args := range jobs {
		if seen[args] {
			continue
		}
		seen[args] = true
		for ; args.Round < rounds; args.Round++ {
			states, err := s.unfinished(ctx, tx, args)
			if err != nil {
				return err
			}
			if len(states) > 0 {
				if slices.Contains(states, string(rivertype.JobStateRunning)) {
					continue
				}
				break
			}
			r, err := s.client.InsertTx(ctx, tx, args, nil)
			if err != nil {
				return fmt.Errorf("queueing a refetch of issue %d of repository %d: %w", args.Number, args.RepositoryID, err)
			}
			if !r.UniqueSkippedAsDuplicate || r.Job.State != rivertype.JobStateRunning {
				break
			}
		}
	}
	return nil
}

type refetchWorker struct {
	river.WorkerDefaults[refetchArgs]
	s *Syncer
}

func (w *refetchWorker) NextRetry(job *river.Job[refetchArgs]) time.Time {
	return w.s.backoff(job.JobRow)
}

// errHeld says that another transaction holds a row for now, or that GitHub
// may not show the latest state yet: worth another look soon.
var errHeld = errors.New("cannot be decided yet")

// patience is how often a refetch is put off before it is left to the polls.
const patience = 8

// Work reads one issue or comment and makes the mirror agree with GitHub.
func (w *refetchWorker) Work(ctx context.Context, job *river.Job[refetchArgs]) error {
	ctx = schema.WithOrigin(ctx, schema.OriginRefetch)
	s, args, tries := w.s, job.Args, snoozes(job.JobRow)
	var err error
	if args.CommentID != 0 {
		err = s.refetchComment(ctx, args, tries)
	} else {
		err = s.refetchIssue(ctx, args, tries)
	}
	if !errors.Is(err, errHeld) {
		return s.outcome(ctx, args.RepositoryID, "", s.lost(ctx, args.RepositoryID, err))
	}
	if tries < patience {
		return river.JobSnooze(min(s.tune.settle, 250*time.Millisecond<<tries))
	}
	return s.leaveToPoll(ctx, args)
}

// leaveToPoll moves the cursor back so that the next poll reads the object
// again, and with it puts off or stores it again.
func (s *Syncer) leaveToPoll(ctx context.Context, args refetchArgs) error {
	c, number := issue, args.Number
	if args.CommentID != 0 {
		c, number = issueComment, args.CommentID
	}
	resp, err := s.api.Do(ctx, ghapi.Request{Path: refetchPath(args), NoRedirect: true})
	switch ghapi.ClassOf(err) {
	case ghapi.ClassNotFound, ghapi.ClassGone, ghapi.ClassMoved:
		// No list shows that it is gone: no poll would come back to it.
		s.log.Warn("a row that GitHub no longer shows cannot be removed yet", "repository_id", args.RepositoryID, "collection", c.name, "number", args.Number)
		return river.JobSnooze(6 * s.tune.settle)
	}
	if err != nil {
		return s.outcome(ctx, args.RepositoryID, "", err)
	}
	var o object
	if err := resp.Decode(&o); err != nil {
		return err
	}
	err = inTx(ctx, s.pool, func(tx pgx.Tx) error {
		p, err := load(ctx, tx, args.RepositoryID, c.name)
		if err != nil {
			return err
		}
		p.Cursor.Pages = nil
		if o.UpdatedAt.Before(p.Cursor.Since) {
			p.Cursor.Since = o.UpdatedAt
		}
		return p.save(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("leaving %s %d of repository %d to the next poll: %w", c.name, number, args.RepositoryID, err)
	}
	s.log.Info("a row is held by a client's transaction, leaving it to the next poll", "repository_id", args.RepositoryID, "collection", c.name, "number", args.Number)
	return nil
}

func refetchPath(args refetchArgs) string {
	if args.CommentID != 0 {
		return fmt.Sprintf("%s/issues/comments/%d", repositoryPath(args.RepositoryID), args.CommentID)
	}
	return fmt.Sprintf("%s/issues/%d", repositoryPath(args.RepositoryID), args.Number)
}

func (s *Syncer) refetchIssue(ctx context.Context, args refetchArgs, tries int) error {
	// Redirects are looked at: a transferred issue answers 301 to an issue
	// with another id.
	resp, err := s.api.Do(ctx, ghapi.Request{Path: refetchPath(args), NoRedirect: true})
	if err != nil {
		return s.issueGone(ctx, args, err, tries)
	}
	var o object
	if err := resp.Decode(&o); err != nil {
		return err
	}
	if err := s.storeOne(ctx, args.RepositoryID, issue, resp); err != nil {
		return err
	}
	// Before the comments' own backfill the mirror holds none; that is no
	// reason to fetch them issue by issue.
	if p, err := load(ctx, s.pool, args.RepositoryID, issueComment.name); err != nil || !p.Backfilled {
		return err
	}
	off, err := miscounted(ctx, s.pool, args.RepositoryID, map[int64]int64{args.Number: o.Comments})
	if err != nil || len(off) == 0 {
		return err
	}
	return s.refetchComments(ctx, args)
}

// storeOne merges a single object. It returns errHeld when the object itself
// must wait. A pull request is not stored.
func (s *Syncer) storeOne(ctx context.Context, repositoryID int64, c *collection, resp *ghapi.Response) error {
	rows, err := c.table.Rows(json.RawMessage(resp.Body), schema.Scope{RepositoryID: repositoryID})
	if errors.Is(err, schema.ErrPullRequest) {
		return nil
	}
	if err != nil {
		return err
	}
	var result schema.UpsertResult
	err = inTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
		result, err = s.upsert(ctx, tx, repositoryID, rows, resp.StartedAt)
		return err
	})
	if err != nil {
		return fmt.Errorf("storing an object of %s: %w", c.name, err)
	}
	if slices.ContainsFunc(result.Deferred, func(r schema.Row) bool { return r.Table == c.table }) {
		return errHeld
	}
	return s.settleLate(ctx, repositoryID, result.Deferred, resp.StartedAt)
}

// issueGone deals with a GET of an issue that failed. Only what GitHub says
// for certain removes the row: 410, a transfer to another repository, or 404
// twice while the repository itself is there.
func (s *Syncer) issueGone(ctx context.Context, args refetchArgs, cause error, tries int) error {
	class := ghapi.ClassOf(cause)
	if class != ghapi.ClassGone && class != ghapi.ClassNotFound && class != ghapi.ClassMoved {
		return cause
	}
	var id int64
	err := s.pool.QueryRow(ctx, `SELECT id FROM github.issue WHERE repository_id = $1 AND number = $2`, args.RepositoryID, args.Number).Scan(&id)
	known := err == nil
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("looking up issue %d of repository %d: %w", args.Number, args.RepositoryID, err)
	}
	var moved *transfer
	switch class {
	case ghapi.ClassMoved:
		if moved, err = s.transferred(ctx, args, cause); err != nil {
			return err
		}
	default:
		// Without a repository, or with issues switched off, every issue is
		// 404 or 410 without having been deleted.
		if open, err := s.issuesOpen(ctx, args.RepositoryID); err != nil || !open {
			return err
		}
		if class == ghapi.ClassNotFound && tries == 0 {
			return errHeld
		}
		if class == ghapi.ClassNotFound && !known && tries < patience/2 {
			// Perhaps so new that not all of GitHub knows it.
			return errHeld
		}
	}
	var kept []int64
	if moved != nil {
		if kept, err = s.commentsAt(ctx, moved); err != nil {
			return err
		}
	}
	done := false
	if err := inTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
		done, err = s.removeIssue(ctx, tx, args, id, kept)
		return err
	}); err != nil {
		return err
	}
	if !done {
		return errHeld
	}
	if known {
		s.log.Info("an issue is gone from its repository", "repository_id", args.RepositoryID, "number", args.Number, "why", class.String())
	}
	if moved != nil {
		return s.follow(ctx, moved)
	}
	return nil
}

// removeIssue deletes an issue and its comments, those too that came without
// the issue itself (id 0). The comments named by kept live on elsewhere and get
// no tombstones. It returns false while a client's transaction is in the way.
func (s *Syncer) removeIssue(ctx context.Context, tx pgx.Tx, args refetchArgs, id int64, kept []int64) (bool, error) {
	comments, err := numbersFrom(ctx, tx, `SELECT id FROM github.issue_comment WHERE repository_id = $1 AND issue_number = $2`, args.RepositoryID, args.Number)
	if err != nil {
		return false, err
	}
	if done, err := s.remove(ctx, tx, args.RepositoryID, schema.IssueComment, comments); err != nil || !done {
		return false, err
	}
	if id != 0 {
		done, err := s.remove(ctx, tx, args.RepositoryID, schema.Issue, []int64{id})
		if err == nil && !done {
			err = errHeld // also undoes the removal of the comments
		}
		if err != nil {
			return false, err
		}
	}
	if _, err := tx.Exec(ctx, `DELETE FROM pghub.tombstone WHERE table_name = 'issue_comment' AND id = ANY ($1)`, kept); err != nil {
		return false, fmt.Errorf("keeping the comments of a transferred issue out of the tombstones: %w", err)
	}
	return true, nil
}

// issuesOpen tells whether the repository is visible and has issues at all.
func (s *Syncer) issuesOpen(ctx context.Context, repositoryID int64) (bool, error) {
	resp, err := s.api.Do(ctx, ghapi.Request{Path: repositoryPath(repositoryID)})
	if err != nil {
		return false, fmt.Errorf("looking whether the repository is there: %w", err)
	}
	var o struct {
		HasIssues *bool `json:"has_issues"`
	}
	if err := resp.Decode(&o); err != nil {
		return false, err
	}
	return o.HasIssues == nil || *o.HasIssues, nil
}

package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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
		s.log.Warn("a row that GitHub no longer shows cannot be removed yet", "repository_id", args.RepositoryID, "collection", c.name, "number", args.Number)
		return nil
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
	number, err := s.storeOne(ctx, args.RepositoryID, issue, resp)
	if err != nil || number == 0 {
		return err
	}
	off := []int64{}
	err = inTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
		off, err = miscounted(ctx, tx, args.RepositoryID, []int64{number})
		return err
	})
	if err != nil || len(off) == 0 {
		return err
	}
	// Before the comments' own backfill the mirror holds none; that is no
	// reason to fetch them issue by issue.
	if p, err := load(ctx, s.pool, args.RepositoryID, issueComment.name); err != nil || !p.Backfilled {
		return err
	}
	return s.refetchComments(ctx, args)
}

// storeOne merges a single object, and reports the number of the issue it is
// or belongs to. It returns errHeld when the object itself must wait, and 0
// when it is a pull request.
func (s *Syncer) storeOne(ctx context.Context, repositoryID int64, c *collection, resp *ghapi.Response) (number int64, err error) {
	rows, err := c.table.Rows(json.RawMessage(resp.Body), schema.Scope{RepositoryID: repositoryID})
	if errors.Is(err, schema.ErrPullRequest) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	number, _ = issueNumber(rows[len(rows)-1])
	var result schema.UpsertResult
	err = inTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
		result, err = schema.Upsert(ctx, tx, rows, resp.StartedAt)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("storing %s of issue %d: %w", c.name, number, err)
	}
	if slices.ContainsFunc(result.Deferred, func(r schema.Row) bool { return r.Table == c.table }) {
		return 0, errHeld
	}
	return number, s.settleLate(ctx, repositoryID, result.Deferred, resp.StartedAt)
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
	if known {
		done := false
		if err := inTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
			var comments []int64
			if moved != nil {
				if comments, err = commentsOf(ctx, tx, id); err != nil {
					return err
				}
			}
			if done, err = s.remove(ctx, tx, schema.Issue, []int64{id}); err != nil {
				return err
			}
			return forgetTombstones(ctx, tx, comments)
		}); err != nil {
			return err
		}
		if !done {
			return errHeld
		}
		s.log.Info("an issue is gone from its repository", "repository_id", args.RepositoryID, "number", args.Number, "why", class.String())
	}
	if moved != nil {
		return s.follow(ctx, moved)
	}
	return nil
}

// transfer is where an issue went.
type transfer struct {
	repositoryID, number int64
}

// transferred confirms that a redirect leads to another repository.
func (s *Syncer) transferred(ctx context.Context, args refetchArgs, cause error) (*transfer, error) {
	e, ok := errors.AsType[*ghapi.Error](cause)
	if !ok || e.Location == "" || e.Status == http.StatusTemporaryRedirect || e.Status == http.StatusFound {
		return nil, cause
	}
	resp, err := s.api.Do(ctx, ghapi.Request{Path: e.Location})
	if err != nil {
		return nil, fmt.Errorf("following issue %d to where it moved: %w", args.Number, err)
	}
	var o struct {
		Number        int64  `json:"number"`
		RepositoryURL string `json:"repository_url"`
	}
	if err := resp.Decode(&o); err != nil {
		return nil, err
	}
	if resp, err = s.api.Do(ctx, ghapi.Request{Path: o.RepositoryURL}); err != nil {
		return nil, fmt.Errorf("reading the repository that issue %d moved to: %w", args.Number, err)
	}
	var home object
	if err := resp.Decode(&home); err != nil {
		return nil, err
	}
	if home.ID == 0 || home.ID == args.RepositoryID {
		return nil, fmt.Errorf("issue %d of repository %d is redirected within its own repository: %w", args.Number, args.RepositoryID, cause)
	}
	return &transfer{home.ID, o.Number}, nil
}

// follow reads a transferred issue where it is now, if that is mirrored.
func (s *Syncer) follow(ctx context.Context, t *transfer) error {
	p, err := load(ctx, s.pool, t.repositoryID, issue.name)
	if errors.Is(err, errNotFollowed) || err == nil && !p.Backfilled {
		return nil
	}
	if err != nil {
		return err
	}
	return s.Refetch(ctx, t.repositoryID, t.number)
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

func (s *Syncer) refetchComment(ctx context.Context, args refetchArgs, tries int) error {
	resp, err := s.api.Do(ctx, ghapi.Request{Path: refetchPath(args), NoRedirect: true})
	switch class := ghapi.ClassOf(err); {
	case err == nil:
		_, err := s.storeOne(ctx, args.RepositoryID, issueComment, resp)
		return err
	case class != ghapi.ClassNotFound && class != ghapi.ClassGone && class != ghapi.ClassMoved:
		return err
	case tries == 0:
		return errHeld
	}
	// The list of the whole issue decides, or finds where the issue went.
	return s.Refetch(ctx, args.RepositoryID, args.Number)
}

// refetchComments compares the comments of one issue with GitHub's list.
func (s *Syncer) refetchComments(ctx context.Context, args refetchArgs) error {
	var issueID int64
	err := s.pool.QueryRow(ctx, `SELECT id FROM github.issue WHERE repository_id = $1 AND number = $2`, args.RepositoryID, args.Number).Scan(&issueID)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking up issue %d of repository %d: %w", args.Number, args.RepositoryID, err)
	}
	var listed []int64
	var startedAt time.Time
	err = s.api.Pages(ctx, ghapi.Request{Path: refetchPath(args) + "/comments", Query: query()}, func(resp *ghapi.Response) error {
		if startedAt.IsZero() {
			startedAt = resp.StartedAt
		}
		var items []json.RawMessage
		if err := resp.Decode(&items); err != nil {
			return err
		}
		var objects []object
		if err := resp.Decode(&objects); err != nil {
			return err
		}
		for _, o := range objects {
			listed = append(listed, o.ID)
		}
		var out stored
		err := inTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
			out, err = s.store(ctx, tx, args.RepositoryID, issueComment, page{items, resp.StartedAt})
			return err
		})
		if err != nil {
			return err
		}
		return s.settleLate(ctx, args.RepositoryID, out.late, resp.StartedAt)
	})
	if err != nil {
		return fmt.Errorf("reading the comments of issue %d: %w", args.Number, err)
	}
	gone, undecided, err := s.missing(ctx, issueComment, args.RepositoryID, "issue_id", issueID, listed, startedAt)
	if err != nil {
		return err
	}
	for _, id := range gone {
		err := inTx(ctx, s.pool, func(tx pgx.Tx) error {
			done, err := s.remove(ctx, tx, schema.IssueComment, []int64{id})
			undecided = undecided || !done
			return err
		})
		if err != nil {
			return err
		}
	}
	if undecided {
		return errHeld
	}
	return nil
}

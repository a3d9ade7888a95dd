package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/pghub/pghub/internal/ghapi"
)

// The queues. Backfills have one of their own so that a long one never keeps
// a poll or a refetch waiting.
const (
	queueBackfill = "backfill"
	queuePoll     = "poll"
	queueRefetch  = "refetch"
	queueDelivery = "delivery"
)

// jobTimeout bounds one run of a job. Backfills end their run much earlier
// and go back into the queue.
const jobTimeout = 10 * time.Minute

// unfinished are the states in which a job keeps another of the same
// arguments from being queued.
var unfinished = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
	rivertype.JobStateRetryable, rivertype.JobStateScheduled,
}

func once(queue string, priority, attempts int) river.InsertOpts {
	return river.InsertOpts{
		Queue: queue, Priority: priority, MaxAttempts: attempts,
		UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: unfinished},
	}
}

// discoverArgs looks for the repositories to follow.
type discoverArgs struct{}

func (discoverArgs) Kind() string                 { return "discover" }
func (discoverArgs) InsertOpts() river.InsertOpts { return once(queuePoll, 1, 10) }

// backfillArgs reads one collection of one repository for the first time.
type backfillArgs struct {
	RepositoryID int64  `json:"repository_id"`
	Collection   string `json:"collection"`
}

func (backfillArgs) Kind() string                   { return "backfill" }
func (a backfillArgs) InsertOpts() river.InsertOpts { return once(queueBackfill, a.priority(), 25) }
func (a backfillArgs) priority() int {
	if c := collectionByName(a.Collection); c != nil {
		return c.priority
	}
	return 1
}

// pollArgs reads what changed in one repository.
type pollArgs struct {
	RepositoryID int64 `json:"repository_id"`
}

func (pollArgs) Kind() string                 { return "poll" }
func (pollArgs) InsertOpts() river.InsertOpts { return once(queuePoll, 2, 3) }

// refetchArgs reads one issue again, or one comment when CommentID is set.
type refetchArgs struct {
	RepositoryID int64 `json:"repository_id"`
	Number       int64 `json:"number"`
	CommentID    int64 `json:"comment_id,omitempty"`
	// Round tells apart a job that is wanted while an equal one already runs
	// and may have asked GitHub too early.
	Round int `json:"round,omitempty"`
}

func (refetchArgs) Kind() string                 { return "refetch" }
func (refetchArgs) InsertOpts() river.InsertOpts { return once(queueRefetch, 1, 10) }

// newClient makes the River client. Its id carries the number of the
// advisory lock that this process holds while it lives; see identity.
func (s *Syncer) newClient() (*river.Client[pgx.Tx], error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, &discoverWorker{s: s})
	river.AddWorker(workers, &backfillWorker{s: s})
	river.AddWorker(workers, &pollWorker{s: s})
	river.AddWorker(workers, &refetchWorker{s: s})
	river.AddWorker(workers, &deliveryWorker{s: s})
	client, err := river.NewClient(riverpgxv5.New(s.pool), &river.Config{
		ID:     s.identity.name(),
		Schema: "pghub",
		Logger: slog.New(quiet{s.log.Handler()}),
		Queues: map[string]river.QueueConfig{
			queueBackfill: {MaxWorkers: 4},
			queuePoll:     {MaxWorkers: 4},
			queueRefetch:  {MaxWorkers: 2},
			queueDelivery: {MaxWorkers: 4, FetchCooldown: deliveryFetch},
		},
		Workers:    workers,
		JobTimeout: jobTimeout,
		// Jobs of a process that died are taken over within upkeep; this is
		// for a process that hangs.
		RescueStuckJobsAfter: 2 * jobTimeout,
		// A poll a minute and repository adds up.
		CompletedJobRetentionPeriod: time.Hour,
		TestOnly:                    s.tune.testOnly,
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the job queue: %w", err)
	}
	return client, nil
}

// unfinished lists the states of the jobs that would make one of these
// arguments a duplicate. River finds out by itself, but by locking the other
// job's row until our transaction ends, against the order in which it locks
// such rows when jobs end.
func (s *Syncer) unfinished(ctx context.Context, tx pgx.Tx, args river.JobArgs) ([]string, error) {
	raw, err := json.Marshal(args)
	if err != nil {
		return nil, fmt.Errorf("encoding the arguments of a job: %w", err)
	}
	rows, err := tx.Query(ctx, `
SELECT state::text FROM pghub.river_job
 WHERE kind = $1 AND args @> $2 AND args = $2 AND state::text = ANY ($3)`, args.Kind(), raw, unfinished)
	if err != nil {
		return nil, fmt.Errorf("looking for jobs of kind %s: %w", args.Kind(), err)
	}
	states, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("looking for jobs of kind %s: %w", args.Kind(), err)
	}
	return states, nil
}

// outcome turns the end of a job's work into what River does next, and
// records what went wrong.
func (s *Syncer) outcome(ctx context.Context, repositoryID int64, name string, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	if errors.Is(err, errNotFollowed) {
		return river.JobCancel(err)
	}
	if name != "" {
		s.held(ctx, repositoryID, name, err)
	} else {
		s.log.Warn("a job failed and is tried again", "repository_id", repositoryID, "cause", message(err))
	}
	if errors.Is(err, errAccessLost) {
		return river.JobSnooze(s.tune.discover)
	}
	if e, ok := errors.AsType[*ghapi.Error](err); ok {
		switch e.Class {
		case ghapi.ClassLimited:
			return river.JobSnooze(max(time.Until(e.RetryAt), 100*time.Millisecond))
		case ghapi.ClassPermission, ghapi.ClassUnauthorized:
			// Only somebody who changes the credential's rights can help, and
			// GitHub locks out who insists.
			return river.JobSnooze(s.tune.discover)
		}
	}
	return err
}

// backoff is the time of the next try: 1 s, doubled to at most a minute, with
// up to a quarter added so that what failed together is not tried together.
func (s *Syncer) backoff(job *rivertype.JobRow) time.Time {
	d := min(time.Second<<min(len(job.Errors), 6), time.Minute)
	return time.Now().Add(d + time.Duration(job.ID%64)*d/256)
}

// snoozes is how often a job was put off so far.
func snoozes(job *rivertype.JobRow) int {
	var m struct {
		Snoozes int `json:"snoozes"`
	}
	if json.Unmarshal(job.Metadata, &m) != nil {
		return 0
	}
	return m.Snoozes
}

// quiet passes on what River says from warnings upwards; what a user needs to
// know of a job's failure is logged by the job itself.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}

// Handle drops what is only the end of our own context.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	stopped := false
	r.Attrs(func(a slog.Attr) bool {
		stopped = a.Key == "err" && strings.Contains(a.Value.String(), context.Canceled.Error())
		return !stopped
	})
	if stopped {
		return nil
	}
	return q.Handler.Handle(ctx, r)
}

func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(a)} }
func (q quiet) WithGroup(name string) slog.Handler   { return quiet{q.Handler.WithGroup(name)} }

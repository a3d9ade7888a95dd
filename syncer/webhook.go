package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/pghub/pghub/schema"
)

// Beginner starts a transaction: a pool of schema.Connect, a connection of it, or
// a transaction, in which the event becomes a savepoint.
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// ApplyWebhook brings what one webhook event tells into the mirror, in one
// transaction, and says what became of it. Event is the header X-GitHub-Event,
// payload the body as it came, its signature checked by the caller, receivedAt
// when it came. Applying an event again, late, or in any order does no harm.
//
// The objects in an event are as old as the event, and nothing tells how old
// that is: they replace a stored row when their updated_at is greater, are
// dropped when it is smaller, and when it is equal and the content differs, or
// when a client holds the row, the object is fetched again by the job queue, or
// with a poll where it can only be read in a list. So that queue must be worked
// by a Syncer for an event to be complete; Outcome says what was queued.
//
// An error means that nothing was changed and that trying again later may help:
// the database failed, or (schema.ErrLocked) a client holds a row of a repository
// that GitHub deleted. Errors about the payload are wrapped as ErrPayload.
//
// https://docs.github.com/en/webhooks/webhook-events-and-payloads
func ApplyWebhook(ctx context.Context, db Beginner, event string, payload []byte, receivedAt time.Time) (Outcome, error) {
	ctx = schema.WithOrigin(ctx, schema.OriginWebhook)
	apply := webhookEvents[event]
	if apply == nil && json.Valid(payload) {
		return notMirrored(event, payload), nil
	}
	var n news
	if err := json.Unmarshal(payload, &n); err != nil {
		return Outcome{Event: event}, fmt.Errorf("%w of event %s: %w", ErrPayload, event, err)
	}
	queue, err := enqueuer()
	if err != nil {
		return Outcome{Event: event, Action: n.Action}, err
	}
	var out Outcome
	err = retried(ctx, db, func(tx pgx.Tx) error {
		out = Outcome{Event: event, Action: n.Action, RepositoryID: n.Repository.ID}
		return apply(ctx, &webhook{s: queue, tx: tx, news: n, receivedAt: receivedAt, out: &out})
	})
	if err != nil {
		return Outcome{Event: event, Action: n.Action, RepositoryID: n.Repository.ID}, fmt.Errorf("applying event %s %s: %w", event, n.Action, err)
	}
	return out, nil
}

// ErrPayload is returned (wrapped) for a payload that is not a webhook's: trying
// again does not help.
var ErrPayload = errors.New("unusable payload")

// webhookEvents are the kinds of events that change the mirror. Each function
// stands in the file named after its family.
var webhookEvents = map[string]func(context.Context, *webhook) error{
	"ping":                      applyPing,
	"issues":                    applyIssues,
	"issue_comment":             applyIssueComment,
	"label":                     applyLabel,
	"milestone":                 applyMilestone,
	"repository":                applyRepository,
	"installation":              applyInstallation,
	"installation_repositories": applyInstallation,
}

// notMirrored is the outcome of every other kind. Nothing is required of its
// payload: there may be kinds of any form.
func notMirrored(event string, payload []byte) Outcome {
	out := Outcome{Event: event, Ignored: fmt.Sprintf("events of kind %q are not mirrored", event)}
	var fields map[string]json.RawMessage
	if json.Unmarshal(payload, &fields) == nil {
		var repository namedRepository
		if json.Unmarshal(fields["action"], &out.Action) != nil {
			out.Action = ""
		}
		if json.Unmarshal(fields["repository"], &repository) == nil {
			out.RepositoryID = repository.ID
		}
	}
	return out
}

// news is what is read of a payload; objects stay as GitHub wrote them.
type news struct {
	Action     string          `json:"action"`
	Zen        string          `json:"zen"`
	Repository namedRepository `json:"repository"`
	// RepositoryObject is the same field, whole.
	RepositoryObject json.RawMessage `json:"-"`

	Issue     json.RawMessage `json:"issue"`
	Comment   json.RawMessage `json:"comment"`
	Label     json.RawMessage `json:"label"`
	Milestone json.RawMessage `json:"milestone"`
	Changes   struct {
		OldIssue      place           `json:"old_issue"`
		OldRepository namedRepository `json:"old_repository"`
		NewIssue      place           `json:"new_issue"`
		NewRepository namedRepository `json:"new_repository"`
	} `json:"-"`
	Repositories []namedRepository `json:"repositories"`
	Removed      []namedRepository `json:"repositories_removed"`
}

// UnmarshalJSON reads fields of a doubtful form apart: "changes" has another one
// in each event, and "repository" is wanted twice.
func (n *news) UnmarshalJSON(raw []byte) error {
	type plain news
	if err := json.Unmarshal(raw, (*plain)(n)); err != nil {
		return err
	}
	var parts struct {
		Repository json.RawMessage `json:"repository"`
		Changes    json.RawMessage `json:"changes"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return err
	}
	n.RepositoryObject = parts.Repository
	if parts.Changes != nil {
		// In events without a transfer these fields are missing, or of any form.
		_ = json.Unmarshal(parts.Changes, &n.Changes)
	}
	return nil
}

type namedRepository struct {
	ID       int64  `json:"id"`
	FullName string `json:"full_name"`
}

// place is where an issue is.
type place struct {
	ID     int64 `json:"id"`
	Number int64 `json:"number"`
}

// webhook is one event on its way into the mirror.
type webhook struct {
	news
	s          *Syncer
	tx         pgx.Tx
	receivedAt time.Time
	out        *Outcome
}

// ignore ends an event without a change.
func (w *webhook) ignore(format string, args ...any) error {
	w.out.Ignored = fmt.Sprintf(format, args...)
	return nil
}

// follows tells whether a repository is mirrored, by its id: names change hands.
func (w *webhook) follows(ctx context.Context, repositoryID int64) (bool, error) {
	var yes bool
	err := w.tx.QueryRow(ctx, `
SELECT EXISTS (SELECT FROM pghub.followed WHERE active AND repository_id = $1) AND EXISTS (SELECT FROM github.repository WHERE id = $1)`,
		repositoryID).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("looking whether repository %d is mirrored: %w", repositoryID, err)
	}
	return yes, nil
}

// elsewhere ignores an event of a repository that is not mirrored, and returns
// true then.
func (w *webhook) elsewhere(ctx context.Context) (bool, error) {
	if w.Repository.ID == 0 {
		return true, w.ignore("it names no repository")
	}
	yes, err := w.follows(ctx, w.Repository.ID)
	if err == nil && !yes {
		err = w.ignore("repository %s (id %d) is not mirrored", w.Repository.FullName, w.Repository.ID)
	}
	return !yes, err
}

func applyPing(_ context.Context, w *webhook) error {
	return w.ignore("ping: GitHub tries whether the webhook answers")
}

// enqueuer is a Syncer that can only put jobs into the queue: it belongs to no
// process and runs nothing.
var enqueuer = sync.OnceValues(func() (*Syncer, error) {
	client, err := river.NewClient(riverpgxv5.New(nil), &river.Config{Schema: "pghub", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("preparing the job queue: %w", err)
	}
	return &Syncer{client: client, tune: defaultTuning(), log: slog.New(slog.DiscardHandler), progress: silent{}}, nil
})

// retried is inTx for any Beginner.
func retried(ctx context.Context, db Beginner, fn func(pgx.Tx) error) error {
	for try := 1; ; try++ {
		err := pgx.BeginFunc(ctx, db, fn)
		var e *pgconn.PgError
		if err == nil || try == 5 || !errors.As(err, &e) || !again[e.Code] {
			return err
		}
		if err := wait(ctx, 20*time.Millisecond<<try); err != nil {
			return err
		}
	}
}

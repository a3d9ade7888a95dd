package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/rivertype"

	"github.com/pghub/pghub/schema"
)

// readLongAgo stands for when GitHub read an object that came with an event.
// Nobody knows that time; the time of receipt is too late by as much as the
// event was on its way, kept, or sent again. Before everything stored, it lets
// updated_at alone decide and turns every tie into another read.
var readLongAgo = time.Unix(0, 0)

// part is one object of a payload and what it is.
type part struct {
	table *schema.Table
	raw   json.RawMessage
}

// buried tells whether GitHub is known to have deleted an object.
func (w *webhook) buried(ctx context.Context, t *schema.Table, id int64) (yes bool, err error) {
	err = w.tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pghub.tombstone WHERE table_name = $1 AND id = $2)`, t.Name, id).Scan(&yes)
	if err != nil {
		return false, fmt.Errorf("looking for the tombstone of %s %d: %w", t.Name, id, err)
	}
	return yes, nil
}

// merge brings objects of the event's repository into the mirror together. What
// cannot be stored or decided now is read again by jobs.
func (w *webhook) merge(ctx context.Context, parts ...part) error {
	repositoryID := w.Repository.ID
	if err := inTurn(ctx, w.tx, repositoryID); err != nil {
		return err
	}
	var rows, own []schema.Row
	var undecodable []part
	for _, p := range parts {
		list, err := p.table.Rows(p.raw, schema.Scope{RepositoryID: repositoryID})
		if err != nil {
			// GitHub's form of the event is not that of its API: ask the API.
			undecodable = append(undecodable, p)
			continue
		}
		rows, own = append(rows, list...), append(own, list[len(list)-1])
	}
	if err := w.doubt(ctx, rows); err != nil {
		return err
	}
	result, err := w.s.upsert(ctx, w.tx, repositoryID, rows, readLongAgo)
	if err != nil {
		return err
	}
	w.out.Changed += result.Changed
	for _, row := range own {
		if slices.ContainsFunc(result.Deferred, func(r schema.Row) bool { return r.Table == row.Table && r.ID() == row.ID() }) {
			w.out.row(row.Table, row.ID(), EffectQueued, "it cannot be told which state is newer, or a client holds the row")
		} else {
			w.out.row(row.Table, row.ID(), EffectMerged, "")
		}
	}
	for _, row := range result.Deferred {
		number, _ := issueNumber(row)
		if err := w.readAgain(ctx, row.Table, row.ID(), number, slices.ContainsFunc(own, func(r schema.Row) bool { return r.Table == row.Table })); err != nil {
			return err
		}
	}
	for _, p := range undecodable {
		var o struct {
			ID       int64  `json:"id"`
			Number   int64  `json:"number"`
			IssueURL string `json:"issue_url"`
		}
		if err := json.Unmarshal(p.raw, &o); err != nil || o.ID == 0 {
			return fmt.Errorf("%w: its %s has no id", ErrPayload, p.table.Name)
		}
		if p.table == schema.IssueComment {
			o.Number = w.issue().Number
		}
		w.out.row(p.table, o.ID, EffectQueued, "the event does not hold the whole object")
		if err := w.readAgain(ctx, p.table, o.ID, o.Number, true); err != nil {
			return err
		}
	}
	return nil
}

// issue is where the event's issue is; zero without one.
func (w *webhook) issue() (p place) {
	if w.Issue != nil {
		_ = json.Unmarshal(w.Issue, &p) // what is not there stays zero
	}
	return p
}

// readAgain has an object read from GitHub. Issues and comments are read alone,
// the others in their lists; urgent ones at once, others with the next poll.
func (w *webhook) readAgain(ctx context.Context, t *schema.Table, id, number int64, urgent bool) error {
	switch t {
	case schema.Issue:
		return w.refetch(ctx, refetchArgs{RepositoryID: w.Repository.ID, Number: number})
	case schema.IssueComment:
		return w.refetch(ctx, refetchArgs{RepositoryID: w.Repository.ID, Number: number, CommentID: id})
	case schema.Account:
		return nil // comes with its next object
	}
	if err := w.readWhole(ctx, t); err != nil || !urgent {
		return err
	}
	return w.poll(ctx)
}

func (w *webhook) refetch(ctx context.Context, args refetchArgs) error {
	if args.CommentID != 0 {
		w.out.queued("refetch of comment %d", args.CommentID)
	} else {
		w.out.queued("refetch of issue %d", args.Number)
	}
	return w.s.enqueueRefetches(ctx, w.tx, []refetchArgs{args})
}

// readWhole makes the next poll read a list, or the repository's own object,
// even though GitHub's answer has not changed since the last one.
func (w *webhook) readWhole(ctx context.Context, t *schema.Table) error {
	if _, err := w.tx.Exec(ctx, `UPDATE pghub.sync_state SET cursor = cursor - 'pages' WHERE repository_id = $1 AND collection = $2`, w.Repository.ID, t.Name); err != nil {
		return fmt.Errorf("asking for a fresh list of %s: %w", t.Name, err)
	}
	return nil
}

// poll queues a poll of the repository now.
func (w *webhook) poll(ctx context.Context) error {
	w.out.queued("poll of repository %d", w.Repository.ID)
	args := pollArgs{w.Repository.ID}
	states, err := w.s.unfinished(ctx, w.tx, args)
	if err != nil {
		return err
	}
	switch {
	case slices.Contains(states, string(rivertype.JobStateRunning)):
		// It may have read the list before there was a reason to.
		_, err = w.tx.Exec(ctx, `
UPDATE pghub.sync_state SET next_poll_at = least(next_poll_at, clock_timestamp() + interval '1 second')
 WHERE repository_id = $1 AND collection = $2 AND next_poll_at IS NOT NULL`, w.Repository.ID, repositoryCollection)
	case len(states) == 0:
		_, err = w.s.client.InsertTx(ctx, w.tx, args, nil)
	}
	if err != nil {
		return fmt.Errorf("queueing a poll of repository %d: %w", w.Repository.ID, err)
	}
	return nil
}

// doubt has lists read whole when the event brings labels or milestones that the
// mirror does not have. Perhaps GitHub does not have them any more either, and
// polls would never notice: the list that they compare with has not changed.
func (w *webhook) doubt(ctx context.Context, rows []schema.Row) error {
	for _, t := range []*schema.Table{schema.Label, schema.Milestone} {
		var ids []int64
		for _, row := range rows {
			if row.Table == t {
				ids = append(ids, row.ID())
			}
		}
		if len(ids) == 0 {
			continue
		}
		var unknown bool
		err := w.tx.QueryRow(ctx, fmt.Sprintf(`SELECT EXISTS (SELECT FROM unnest($1::bigint[]) AS i WHERE i NOT IN (SELECT id FROM %s WHERE id = ANY ($1)))`,
			pgx.Identifier{schema.Name, t.Name}.Sanitize()), ids).Scan(&unknown)
		if err != nil {
			return fmt.Errorf("looking for rows of %s: %w", t.Name, err)
		}
		if unknown {
			if err := w.readWhole(ctx, t); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove deletes one row and leaves its tombstone, known or not. While a client
// holds the row it returns false.
func (w *webhook) remove(ctx context.Context, t *schema.Table, id int64) (bool, error) {
	done, err := w.s.remove(ctx, w.tx, w.Repository.ID, t, []int64{id})
	if err != nil && !errors.Is(err, errHeld) {
		return false, fmt.Errorf("removing %s %d: %w", t.Name, id, err)
	}
	if done {
		w.out.row(t, id, EffectDeleted, "")
	} else {
		w.out.row(t, id, EffectQueued, "a client holds the row")
	}
	return done, nil
}

// idOf reads the id of an object, or returns ErrPayload.
func idOf(t *schema.Table, raw json.RawMessage) (int64, error) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil || o.ID == 0 {
		return 0, fmt.Errorf("%w: it has no %s with an id", ErrPayload, t.Name)
	}
	return o.ID, nil
}

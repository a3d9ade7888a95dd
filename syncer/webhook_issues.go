package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/schema"
)

// applyIssues: every action but two tells the issue as it is after the change.
//
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#issues
func applyIssues(ctx context.Context, w *webhook) error {
	if w.Action == "transferred" || w.Action == "opened" && w.Changes.OldIssue.ID != 0 {
		return applyTransfer(ctx, w)
	}
	if other, err := w.elsewhere(ctx); other || err != nil {
		return err
	}
	id, err := idOf(schema.Issue, w.Issue)
	if err != nil {
		return err
	}
	if w.Action == "deleted" {
		return w.removeIssue(ctx, w.Repository.ID, w.issue(), false)
	}
	gone, err := w.buried(ctx, schema.Issue, id)
	switch {
	case err != nil:
		return err
	case gone:
		return w.ignore("issue %d was deleted or transferred", id)
	case isPullRequest(w.Issue):
		return w.ignore("%d is a pull request, not an issue", id)
	}
	return w.merge(ctx, part{schema.Issue, w.Issue})
}

// applyTransfer: GitHub tells both repositories, in any order. The issue has a
// new id, node id and number; whether its comments keep their ids is not
// documented, and no event tells of them. So the old row goes at once, and both
// places are read again, which sees to the comments.
func applyTransfer(ctx context.Context, w *webhook) error {
	type end struct {
		home namedRepository
		at   place
	}
	from, to := end{w.Repository, w.issue()}, end{w.Changes.NewRepository, w.Changes.NewIssue}
	if w.Action == "opened" {
		from, to = end{w.Changes.OldRepository, w.Changes.OldIssue}, end{w.Repository, w.issue()}
	}
	if from.at.ID == 0 {
		return fmt.Errorf("%w: it has no issue with an id", ErrPayload)
	}
	followsFrom, err := w.follows(ctx, from.home.ID)
	if err != nil {
		return err
	}
	followsTo, err := w.follows(ctx, to.home.ID)
	if err != nil {
		return err
	}
	if !followsFrom && !followsTo {
		return w.ignore("neither repository of the transfer is mirrored")
	}
	// In one order, so that the events of both ends never wait for each other.
	for _, id := range []int64{min(from.home.ID, to.home.ID), max(from.home.ID, to.home.ID)} {
		if err := inTurn(ctx, w.tx, id); err != nil {
			return err
		}
	}
	if followsFrom {
		if err := w.removeIssue(ctx, from.home.ID, from.at, true); err != nil {
			return err
		}
	}
	if !followsTo || to.at.ID == 0 {
		return nil
	}
	gone, err := w.buried(ctx, schema.Issue, to.at.ID)
	if err != nil || gone {
		return err // it went on, or was deleted
	}
	if w.Action == "opened" {
		if err := w.merge(ctx, part{schema.Issue, w.Issue}); err != nil {
			return err
		}
	}
	return w.refetch(ctx, refetchArgs{RepositoryID: to.home.ID, Number: to.at.Number})
}

// removeIssue removes an issue that was deleted or, with moved, transferred:
// then its comments may live on under their ids and get no tombstones, and the
// place is read again, for comments that are still on their way here.
func (w *webhook) removeIssue(ctx context.Context, repositoryID int64, at place, moved bool) error {
	args := refetchArgs{RepositoryID: repositoryID, Number: at.Number}
	done := false
	err := pgx.BeginFunc(ctx, w.tx, func(tx pgx.Tx) error {
		if err := inTurn(ctx, tx, repositoryID); err != nil {
			return err
		}
		var kept []int64
		if moved {
			var err error
			if kept, err = numbersFrom(ctx, tx, `SELECT id FROM github.issue_comment WHERE repository_id = $1 AND issue_number = $2`, repositoryID, at.Number); err != nil {
				return err
			}
		}
		var err error
		done, err = w.s.removeIssue(ctx, tx, args, at.ID, kept)
		return err
	})
	if err != nil && !errors.Is(err, errHeld) {
		return fmt.Errorf("removing issue %d of repository %d: %w", at.Number, repositoryID, err)
	}
	if done {
		w.out.row(schema.Issue, at.ID, EffectDeleted, "")
	} else {
		w.out.row(schema.Issue, at.ID, EffectQueued, "a client holds the row")
	}
	if done && !moved {
		return nil
	}
	return w.refetch(ctx, args)
}

// isPullRequest tells a pull request from an issue as the API does.
func isPullRequest(raw json.RawMessage) bool {
	var o struct {
		PullRequest json.RawMessage `json:"pull_request"`
	}
	return json.Unmarshal(raw, &o) == nil && o.PullRequest != nil && string(o.PullRequest) != "null"
}

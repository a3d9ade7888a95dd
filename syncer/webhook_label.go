package syncer

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/schema"
)

// applyLabel: labels have no updated_at, so an event cannot tell whether it is
// newer than what the mirror has. A label that is not known is stored; whether
// the event is right about a known one is for GitHub's list to say.
//
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#label
func applyLabel(ctx context.Context, w *webhook) error {
	if other, err := w.elsewhere(ctx); other || err != nil {
		return err
	}
	return w.listed(ctx, schema.Label, part{schema.Label, w.Label})
}

// listed applies an event about an object that can be read in a list only.
func (w *webhook) listed(ctx context.Context, t *schema.Table, p part) error {
	id, err := idOf(t, p.raw)
	if err != nil {
		return err
	}
	if w.Action == "deleted" {
		done, err := w.remove(ctx, t, id)
		if err != nil || done {
			return err
		}
		return w.readAgain(ctx, t, id, 0, true)
	}
	gone, err := w.buried(ctx, t, id)
	if err != nil {
		return err
	}
	if gone {
		return w.ignore("%s %d was deleted", t.Name, id)
	}
	if err := w.merge(ctx, p); err != nil || t.Version != "" {
		return err
	}
	same, err := w.agrees(ctx, t, id, p)
	if err != nil || same {
		return err
	}
	w.out.Rows[len(w.out.Rows)-1].Effect, w.out.Rows[len(w.out.Rows)-1].Why = EffectQueued, "it cannot be told which state is newer"
	return w.readAgain(ctx, t, id, 0, true)
}

// agrees tells whether the mirror has all that an object says.
func (w *webhook) agrees(ctx context.Context, t *schema.Table, id int64, p part) (same bool, err error) {
	row, err := t.Decode(p.raw, schema.Scope{RepositoryID: w.Repository.ID})
	if err != nil {
		return true, nil // merge has seen to it
	}
	err = w.tx.QueryRow(ctx, fmt.Sprintf(`SELECT EXISTS (SELECT FROM %s WHERE id = $1 AND payload @> $2::jsonb)`, pgx.Identifier{schema.Name, t.Name}.Sanitize()),
		id, row.Get("payload")).Scan(&same)
	if err != nil {
		return false, fmt.Errorf("comparing %s %d with the mirror: %w", t.Name, id, err)
	}
	return same, nil
}

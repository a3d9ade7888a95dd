package syncer

import (
	"context"
	"errors"
	"fmt"

	"github.com/pghub/pghub/schema"
)

// applyRepository: a repository keeps its id when it is renamed or transferred,
// and only "deleted" removes it, with all its rows: for every other way in which
// it can vanish from sight its rows stay.
//
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#repository
func applyRepository(ctx context.Context, w *webhook) error {
	id := w.Repository.ID
	if id == 0 {
		return w.ignore("it names no repository")
	}
	follows, err := w.follows(ctx, id)
	if err != nil {
		return err
	}
	if !follows {
		return w.discover(ctx, "repository %s (id %d) is not mirrored", w.Repository.FullName, id)
	}
	if w.Action == "deleted" {
		return w.removeRepository(ctx, id)
	}
	return w.changeRepository(ctx, id)
}

// changeRepository stores a repository's new state, and has all of it read again
// when its name is another: the URLs in its objects hold the name.
func (w *webhook) changeRepository(ctx context.Context, id int64) error {
	if err := inTurn(ctx, w.tx, id); err != nil {
		return err
	}
	before, err := w.fullName(ctx, id)
	if err != nil {
		return err
	}
	if err := w.merge(ctx, part{schema.Repository, w.RepositoryObject}); err != nil {
		return err
	}
	after, err := w.fullName(ctx, id)
	if err != nil || after == before {
		return err
	}
	if _, err := w.tx.Exec(ctx, `UPDATE pghub.followed SET name = $2 WHERE repository_id = $1 AND NOT named`, id, after); err != nil {
		return fmt.Errorf("noting the new name of %s: %w", before, err)
	}
	err = w.s.rescan(ctx, w.tx, id)
	if errors.Is(err, errNotFollowed) {
		return nil // so new that nothing of it has been read
	}
	if err != nil {
		return fmt.Errorf("having %s read again under its new name %s: %w", before, after, err)
	}
	w.out.queued("scan of repository %d", id)
	return w.poll(ctx)
}

func (w *webhook) fullName(ctx context.Context, id int64) (name string, err error) {
	err = w.tx.QueryRow(ctx, `SELECT full_name FROM github.repository WHERE id = $1`, id).Scan(&name)
	if err != nil {
		return "", fmt.Errorf("reading the name of repository %d: %w", id, err)
	}
	return name, nil
}

// removeRepository removes a repository that GitHub says was deleted. No job
// could do it later, so a row that a client holds is an error.
func (w *webhook) removeRepository(ctx context.Context, id int64) error {
	if err := inTurn(ctx, w.tx, id); err != nil {
		return err
	}
	if err := schema.Delete(ctx, w.tx, schema.Repository, []int64{id}); err != nil {
		return fmt.Errorf("removing repository %s: %w", w.Repository.FullName, err)
	}
	const why = "GitHub says that the repository was deleted"
	if _, err := w.tx.Exec(ctx, `UPDATE pghub.followed SET active = false, last_error = $2, last_error_at = clock_timestamp() WHERE repository_id = $1`, id, why); err != nil {
		return fmt.Errorf("no longer following %s: %w", w.Repository.FullName, err)
	}
	if _, err := w.markLost(ctx, id, why, true); err != nil {
		return err
	}
	w.out.row(schema.Repository, id, EffectDeleted, "")
	return nil
}

// markLost notes that a repository cannot be seen any more. Unless certain, it
// does nothing and returns false when GitHub answered for the repository after
// the event came: then access was given back meanwhile.
func (w *webhook) markLost(ctx context.Context, id int64, why string, certain bool) (bool, error) {
	tag, err := w.tx.Exec(ctx, `
UPDATE pghub.sync_state SET state = $2, waiting_until = NULL, last_error = $3, last_error_at = clock_timestamp()
 WHERE repository_id = $1
   AND ($4 OR NOT EXISTS (SELECT FROM pghub.sync_state s WHERE s.repository_id = $1 AND s.collection = $5 AND s.last_sync_at > $6))`,
		id, StateAccessLost, why, certain, repositoryCollection, w.receivedAt)
	if err != nil {
		return false, fmt.Errorf("marking repository %d as no longer visible: %w", id, err)
	}
	return tag.RowsAffected() > 0, nil
}

// discover looks for new repositories now, if the user wants all that can be
// seen; else the event is ignored for the given reason.
func (w *webhook) discover(ctx context.Context, reason string, args ...any) error {
	var all bool
	err := w.tx.QueryRow(ctx, `
SELECT NOT EXISTS (SELECT FROM pghub.followed WHERE active AND named)
   AND EXISTS (SELECT FROM pghub.sync_state WHERE repository_id = 0 AND collection = $1)`, accountCollection).Scan(&all)
	if err != nil {
		return fmt.Errorf("looking which repositories are followed: %w", err)
	}
	if !all {
		return w.ignore(reason, args...)
	}
	states, err := w.s.unfinished(ctx, w.tx, discoverArgs{})
	if err == nil && len(states) == 0 {
		_, err = w.s.client.InsertTx(ctx, w.tx, discoverArgs{}, nil)
	}
	if err != nil {
		return fmt.Errorf("queueing a look for repositories: %w", err)
	}
	w.out.queued("look for repositories")
	return nil
}

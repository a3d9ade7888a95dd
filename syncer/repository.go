package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/schema"
)

// pollRepository reads the repository's own object by its id, so that a new
// name arrives as a change of the same row.
//
// https://docs.github.com/en/rest/repos/repos#get-a-repository
func (s *Syncer) pollRepository(ctx context.Context, repositoryID int64) error {
	p, err := load(ctx, s.pool, repositoryID, repositoryCollection)
	if err != nil {
		return err
	}
	path := repositoryPath(repositoryID)
	resp, err := s.api.Do(ctx, ghapi.Request{Path: path, IfNoneMatch: p.Cursor.tagOf(path)})
	if ghapi.ClassOf(err) == ghapi.ClassNotFound {
		return fmt.Errorf("%w (%w)", errAccessLost, err)
	}
	if err != nil {
		return fmt.Errorf("reading the repository: %w", err)
	}
	if resp.NotModified {
		return p.save(ctx, s.pool)
	}
	var late []schema.Row
	err = inTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if p, err = load(ctx, tx, repositoryID, repositoryCollection); err != nil {
			return err
		}
		before := p.Repository
		if late, err = s.storeRepository(ctx, tx, json.RawMessage(resp.Body), resp.StartedAt); err != nil {
			return err
		}
		if p, err = load(ctx, tx, repositoryID, repositoryCollection); err != nil {
			return err
		}
		if before != "" && p.Repository != before {
			s.log.Info("a repository was renamed or transferred, reading it again", "repository_id", repositoryID, "from", before, "to", p.Repository)
			if err := s.rescan(ctx, tx, repositoryID); err != nil {
				return err
			}
		}
		p.Cursor.Pages = nil
		if len(late) == 0 && resp.ETag != "" {
			p.Cursor.Pages = []pageTag{{URL: path, ETag: resp.ETag}}
		}
		return p.save(ctx, tx)
	})
	if err != nil {
		return err
	}
	return s.settleLate(ctx, repositoryID, late, resp.StartedAt)
}

// rescan has everything of a repository read again, beside the polls: the URLs
// in its objects hold its name, but a new name touches no object's updated_at.
func (s *Syncer) rescan(ctx context.Context, tx pgx.Tx, repositoryID int64) error {
	for _, c := range collections {
		p, err := load(ctx, tx, repositoryID, c.name)
		if err != nil {
			return err
		}
		if p.Backfilled && c.changes != nil {
			p.Next = c.scanFrom(repositoryID)
		}
		p.Cursor.Pages = nil
		if err := p.save(ctx, tx); err != nil {
			return err
		}
	}
	return s.queueBackfills(ctx, tx, repositoryID)
}

// storeRepository merges a repository's object with the accounts in it.
func (s *Syncer) storeRepository(ctx context.Context, tx pgx.Tx, raw json.RawMessage, fetchedAt time.Time) ([]schema.Row, error) {
	rows, err := schema.Repository.Rows(raw, schema.Scope{})
	if err != nil {
		return nil, err
	}
	late, _, err := s.merge(ctx, tx, rows[len(rows)-1].ID(), rows, fetchedAt)
	return late, err
}

// adopt stores a repository that is to be followed and queues what its first
// backfill lacks. It may be done again at any time.
func (s *Syncer) adopt(ctx context.Context, raw json.RawMessage, fetchedAt time.Time, note func(ctx context.Context, tx pgx.Tx, id int64, name string) error) error {
	var o struct {
		ID       int64  `json:"id"`
		FullName string `json:"full_name"`
	}
	if err := json.Unmarshal(raw, &o); err != nil || o.ID == 0 {
		return errors.New("GitHub's answer is not a repository")
	}
	var late []schema.Row
	fresh := false
	err := inTx(ctx, s.pool, func(tx pgx.Tx) (err error) {
		if err := note(ctx, tx, o.ID, o.FullName); err != nil {
			return err
		}
		if late, err = s.storeRepository(ctx, tx, raw, fetchedAt); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
INSERT INTO pghub.sync_state (repository_id, collection, state, rows_done, items_done, rows_expected, backfilled_at, last_sync_at, next_poll_at)
VALUES ($1, $2, $3, 1, 1, 1, clock_timestamp(), clock_timestamp(), clock_timestamp() + $4)
ON CONFLICT (repository_id, collection) DO NOTHING`, o.ID, repositoryCollection, StateLive, s.cfg.PollInterval)
		if err != nil {
			return fmt.Errorf("noting repository %s: %w", o.FullName, err)
		}
		fresh = tag.RowsAffected() == 1
		for _, c := range collections {
			if _, err := tx.Exec(ctx, `
INSERT INTO pghub.sync_state (repository_id, collection, state) VALUES ($1, $2, $3) ON CONFLICT (repository_id, collection) DO NOTHING`,
				o.ID, c.name, StatePending); err != nil {
				return fmt.Errorf("noting %s of %s: %w", c.name, o.FullName, err)
			}
		}
		return s.queueBackfills(ctx, tx, o.ID)
	})
	if err != nil {
		return err
	}
	if fresh {
		s.log.Info("following a repository", "repository", o.FullName, "repository_id", o.ID)
	}
	s.wakeUp()
	return s.settleLate(ctx, o.ID, late, fetchedAt)
}

// queueBackfills queues every backfill of a repository that can go on.
func (s *Syncer) queueBackfills(ctx context.Context, tx pgx.Tx, repositoryID int64) error {
	rows, err := tx.Query(ctx, `SELECT collection FROM pghub.sync_state WHERE repository_id = $1 AND backfilled_at IS NOT NULL AND next_url IS NULL`, repositoryID)
	if err != nil {
		return fmt.Errorf("reading what is backfilled of repository %d: %w", repositoryID, err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("reading what is backfilled of repository %d: %w", repositoryID, err)
	}
	done := map[string]bool{"": true}
	for _, name := range names {
		done[name] = true
	}
	for _, c := range collections {
		if done[c.name] || !done[c.after] {
			continue
		}
		args := backfillArgs{repositoryID, c.name}
		if states, err := s.unfinished(ctx, tx, args); err != nil || len(states) > 0 {
			if err != nil {
				return err
			}
			continue
		}
		if _, err := s.client.InsertTx(ctx, tx, args, nil); err != nil {
			return fmt.Errorf("queueing the backfill of %s of repository %d: %w", c.name, repositoryID, err)
		}
	}
	return nil
}

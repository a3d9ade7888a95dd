package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/schema"
)

type discoverWorker struct {
	river.WorkerDefaults[discoverArgs]
	s *Syncer
}

func (w *discoverWorker) NextRetry(job *river.Job[discoverArgs]) time.Time {
	return w.s.backoff(job.JobRow)
}

// Work finds the repositories to follow and starts with those that are new.
func (w *discoverWorker) Work(ctx context.Context, _ *river.Job[discoverArgs]) error {
	ctx = schema.WithOrigin(ctx, schema.OriginPoll)
	s := w.s
	err := s.storeOwnAccount(ctx)
	if err == nil {
		if len(s.cfg.Repos) > 0 {
			err = s.discoverNamed(ctx)
		} else {
			err = s.discoverVisible(ctx)
		}
	}
	if err == nil {
		err = s.discovered(ctx)
	}
	return s.outcome(ctx, noRepository, accountCollection, err)
}

// discovered records that the look for repositories succeeded.
func (s *Syncer) discovered(ctx context.Context) error {
	return inTx(ctx, s.pool, func(tx pgx.Tx) error {
		p, err := load(ctx, tx, noRepository, accountCollection)
		if err != nil {
			return err
		}
		p.Backfilled = true
		return p.save(ctx, tx)
	})
}

// discoverNamed resolves the configured names. A name that GitHub does not
// show is recorded with the reason and does not stop the others.
func (s *Syncer) discoverNamed(ctx context.Context) error {
	for _, name := range s.cfg.Repos {
		owner, repo, _ := strings.Cut(name, "/")
		resp, err := s.api.Do(ctx, ghapi.Request{Path: "repos/" + url.PathEscape(owner) + "/" + url.PathEscape(repo)})
		if err == nil {
			err = s.adopt(ctx, json.RawMessage(resp.Body), resp.StartedAt, func(ctx context.Context, tx pgx.Tx, id int64, _ string) error {
				_, err := tx.Exec(ctx, `
UPDATE pghub.followed SET repository_id = $2, checked_at = clock_timestamp(), last_error = NULL, last_error_at = NULL
 WHERE named AND lower(name) = lower($1)`, name, id)
				return err
			})
			if err != nil {
				return fmt.Errorf("following %s: %w", name, err)
			}
			continue
		}
		switch ghapi.ClassOf(err) {
		case ghapi.ClassNotFound:
			err = fmt.Errorf("%w (%w)", errAccessLost, err)
		case ghapi.ClassPermission, ghapi.ClassGone, ghapi.ClassMoved, ghapi.ClassValidation:
			// 451 and the like: this repository only.
		default:
			return fmt.Errorf("looking for repository %s: %w", name, err)
		}
		if err := s.unreachable(ctx, name, err); err != nil {
			return err
		}
	}
	return nil
}

// unreachable records why a named repository cannot be followed.
func (s *Syncer) unreachable(ctx context.Context, name string, cause error) error {
	var id *int64
	err := s.pool.QueryRow(ctx, `
UPDATE pghub.followed SET checked_at = clock_timestamp(), last_error = $2, last_error_at = clock_timestamp()
 WHERE named AND lower(name) = lower($1)
RETURNING repository_id`, name, message(cause)).Scan(&id)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("recording that %s cannot be followed: %w", name, err)
	}
	note := Progress{Repository: name, Collection: repositoryCollection, State: StateError, Err: cause}
	if id != nil {
		note.RepositoryID = *id
	}
	if errors.Is(cause, errAccessLost) {
		note.State = StateAccessLost
	}
	s.progress.Progress(note)
	s.log.Warn("cannot follow a repository", "repository", name, "cause", message(cause))
	return nil
}

// discoverVisible follows every repository that the credential can see, and
// stops following those that it can no longer see. Their rows stay.
//
// https://docs.github.com/en/rest/repos/repos#list-repositories-for-the-authenticated-user
func (s *Syncer) discoverVisible(ctx context.Context) error {
	seen := []int64{}
	list := ghapi.Request{Path: "user/repos", Query: query("sort", "created", "direction", "asc")}
	err := s.api.Pages(ctx, list, func(resp *ghapi.Response) error {
		var items []json.RawMessage
		if err := resp.Decode(&items); err != nil {
			return err
		}
		for _, raw := range items {
			err := s.adopt(ctx, raw, resp.StartedAt, func(ctx context.Context, tx pgx.Tx, id int64, name string) error {
				seen = append(seen, id)
				_, err := tx.Exec(ctx, `
INSERT INTO pghub.followed (name, repository_id, named, checked_at) VALUES ($1, $2, false, clock_timestamp())
ON CONFLICT (repository_id) WHERE NOT named
DO UPDATE SET name = excluded.name, active = true, checked_at = excluded.checked_at, last_error = NULL, last_error_at = NULL`, name, id)
				return err
			})
			if err != nil {
				return fmt.Errorf("following a visible repository: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("listing the repositories that the credential can see: %w", err)
	}
	rows, err := s.pool.Query(ctx, `
UPDATE pghub.followed SET active = false, last_error = $2, last_error_at = clock_timestamp()
 WHERE NOT named AND active AND repository_id <> ALL ($1)
RETURNING name`, seen, message(errAccessLost))
	if err != nil {
		return fmt.Errorf("dropping repositories that are no longer visible: %w", err)
	}
	gone, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("dropping repositories that are no longer visible: %w", err)
	}
	for _, name := range gone {
		s.log.Warn("no longer following a repository", "repository", name, "cause", errAccessLost)
	}
	return nil
}

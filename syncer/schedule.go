package syncer

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// schedule queues what is due until ctx ends. When something is due stands in
// the database, so that any number of processes keep one rhythm, and a restart
// neither forgets a poll nor does all of them at once: what is overdue is
// worked off by a few workers and spread over the following interval.
//
// River's own periodic jobs are not used: they are kept in the leader's
// memory, start over with each process, and wait for a new leader after a
// kill.
func (s *Syncer) schedule(ctx context.Context) {
	var upkeep time.Time
	failures := 0
	for ctx.Err() == nil {
		next, err := s.queueDue(ctx)
		if err == nil && time.Now().After(upkeep) {
			if err = s.upkeep(ctx); err == nil {
				upkeep = time.Now().Add(s.tune.upkeep)
			}
		}
		next = min(next, time.Until(upkeep))
		if err != nil && ctx.Err() == nil {
			next = min(time.Second<<min(failures, 5), 30*time.Second)
			failures++
			s.log.Error("cannot schedule the next polls", "err", err, "retry_in", next)
		} else {
			failures = 0
		}
		timer := time.NewTimer(max(next, time.Millisecond))
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// wakeUp makes the schedule look again, because something became due earlier
// than it knew.
func (s *Syncer) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// followedIDs is what is kept current: the ids of the active repositories,
// and 0 for the look for new ones.
const followedIDs = `(SELECT 0::bigint AS id UNION SELECT repository_id FROM pghub.followed WHERE active AND repository_id IS NOT NULL)`

// queueDue queues the polls that are due and returns the time to the next.
func (s *Syncer) queueDue(ctx context.Context) (time.Duration, error) {
	for {
		more, err := s.queueOneDue(ctx)
		if err != nil {
			return 0, err
		}
		if !more {
			break
		}
	}
	var seconds *float64
	err := s.pool.QueryRow(ctx, `
SELECT extract(epoch FROM min(s.next_poll_at) - clock_timestamp())::float8
  FROM pghub.sync_state s
 WHERE s.next_poll_at IS NOT NULL AND s.repository_id IN `+followedIDs).Scan(&seconds)
	if err != nil {
		return 0, fmt.Errorf("reading when the next poll is due: %w", err)
	}
	if seconds == nil {
		return s.tune.upkeep, nil
	}
	return time.Duration(*seconds * float64(time.Second)), nil
}

// queueOneDue moves a due time and queues the job in one transaction. A poll in
// time keeps its rhythm; one that is late by more than an interval gets a
// random place in the next. It returns false when nothing is due.
func (s *Syncer) queueOneDue(ctx context.Context) (more bool, err error) {
	err = inTx(ctx, s.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
UPDATE pghub.sync_state s
   SET next_poll_at = CASE WHEN s.next_poll_at + d.every > clock_timestamp() THEN s.next_poll_at + d.every
                           ELSE clock_timestamp() + d.every * (0.5 + random() / 2) END
  FROM (SELECT repository_id, collection, CASE WHEN repository_id = 0 THEN $1::interval ELSE $2::interval END AS every
          FROM pghub.sync_state
         WHERE next_poll_at <= clock_timestamp() AND repository_id IN `+followedIDs+`
         ORDER BY next_poll_at
         LIMIT 1
           FOR UPDATE SKIP LOCKED) d
 WHERE s.repository_id = d.repository_id AND s.collection = d.collection
RETURNING s.repository_id`, s.tune.discover, s.cfg.PollInterval)
		if err != nil {
			return fmt.Errorf("looking for due polls: %w", err)
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return fmt.Errorf("looking for due polls: %w", err)
		}
		if more = len(ids) > 0; !more {
			return nil
		}
		if ids[0] == noRepository {
			_, err = s.client.InsertTx(ctx, tx, discoverArgs{}, nil)
		} else {
			_, err = s.client.InsertTx(ctx, tx, pollArgs{ids[0]}, nil)
		}
		if err != nil {
			return fmt.Errorf("queueing a poll: %w", err)
		}
		return nil
	})
	return more, err
}

// upkeep keeps the lock of this process, takes over the jobs of dead ones and
// queues backfills that have no job any more.
func (s *Syncer) upkeep(ctx context.Context) error {
	if err := s.identity.hold(ctx, s.pool); err != nil {
		return err
	}
	if err := s.takeOver(ctx); err != nil {
		return err
	}
	if err := s.tendDeliveries(ctx); err != nil {
		return err
	}
	rows, err := s.pool.Query(ctx, `
SELECT DISTINCT repository_id FROM pghub.sync_state WHERE (backfilled_at IS NULL OR next_url IS NOT NULL) AND repository_id <> 0 AND repository_id IN `+followedIDs)
	if err != nil {
		return fmt.Errorf("looking for unfinished backfills: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("looking for unfinished backfills: %w", err)
	}
	for _, id := range ids {
		if err := inTx(ctx, s.pool, func(tx pgx.Tx) error { return s.queueBackfills(ctx, tx, id) }); err != nil {
			return err
		}
	}
	s.keepEvents(ctx)
	return nil
}

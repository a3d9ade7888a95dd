package syncer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
)

// DefaultDeliveryRetention is how long processed and ignored deliveries are
// kept when Config.DeliveryRetention is zero.
const DefaultDeliveryRetention = 14 * 24 * time.Hour

// deliveryAttempts is how often a delivery is tried. With the pauses between
// them the last try comes about nine minutes after the first.
const deliveryAttempts = 10

// laneClass is the first key of the locks of lanes; the second is the lane's
// hash. Lanes that share a hash wait for each other, which does no harm.
const laneClass = 0x70676864 // "pghd"

type deliveryWorker struct {
	river.WorkerDefaults[deliveryArgs]
	s *Syncer
}

func (w *deliveryWorker) NextRetry(job *river.Job[deliveryArgs]) time.Time {
	return w.s.backoff(job.JobRow)
}

// Work processes the deliveries of a lane up to the job's own. The lane's lock
// belongs to the session: it is held over all of the transactions, and free as
// soon as the process is dead, so that a delivery which is "processing" under a
// free lock is one that was left behind.
func (w *deliveryWorker) Work(ctx context.Context, job *river.Job[deliveryArgs]) error {
	conn, err := w.s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("taking a connection for delivery %d: %w", job.Args.Seq, err)
	}
	defer releaseLane(ctx, conn)
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1, hashtext($2))`, int32(laneClass), job.Args.Lane); err != nil {
		return fmt.Errorf("waiting for the lane of delivery %d: %w", job.Args.Seq, err)
	}
	for {
		c, err := claim(ctx, conn, job.Args)
		if err != nil {
			return err
		}
		if c == nil {
			return untilDue(ctx, conn, job.Args)
		}
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), w.s.giveBack(ctx, c))
		}
		if err := w.s.process(ctx, conn, c); err != nil {
			return err
		}
		if c.seq == job.Args.Seq && c.done {
			return nil
		}
	}
}

// releaseLane gives the connection back without the lock, or closes it.
func releaseLane(ctx context.Context, conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if !conn.Conn().IsClosed() {
		if _, err := conn.Exec(ctx, `SELECT pg_advisory_unlock_all()`); err != nil {
			_ = conn.Conn().Close(ctx) // ends the session, and with it the lock
		}
	}
	conn.Release()
}

// claimed is a delivery that this process works on.
type claimed struct {
	Delivery
	seq      int64
	attempts int
	done     bool
}

// claim takes the first unfinished delivery of the lane and writes down, for
// all to see, that it is being processed and tried once more. It returns nil
// when that one is not due, or came after the job's. The end of ctx does not
// interrupt it: nobody would know then whether it was counted.
func claim(ctx context.Context, conn *pgxpool.Conn, args deliveryArgs) (*claimed, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var c claimed
	err := conn.QueryRow(ctx, `
UPDATE pghub.delivery d SET status = 'processing', attempts = d.attempts + 1
  FROM (SELECT seq, next_try FROM pghub.delivery
         WHERE lane = $1 AND status IN ('unprocessed', 'processing') ORDER BY seq LIMIT 1) h
 WHERE d.seq = h.seq AND h.seq <= $2 AND h.next_try <= clock_timestamp()
RETURNING d.seq, d.guid, d.event, d.content_type, d.body, d.received_at, d.attempts`, args.Lane, args.Seq).
		Scan(&c.seq, &c.GUID, &c.Event, &c.ContentType, &c.Body, &c.ReceivedAt, &c.attempts)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("taking the next delivery of a lane: %w", err)
	}
	return &c, nil
}

// untilDue puts the job off while its delivery, or one before it, waits for its
// next try.
func untilDue(ctx context.Context, conn *pgxpool.Conn, args deliveryArgs) error {
	var due time.Time
	err := conn.QueryRow(ctx, `
SELECT next_try FROM pghub.delivery
 WHERE lane = $1 AND status IN ('unprocessed', 'processing') AND seq <= $2 ORDER BY seq LIMIT 1`, args.Lane, args.Seq).Scan(&due)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking when delivery %d is due: %w", args.Seq, err)
	}
	return river.JobSnooze(max(time.Until(due), 10*time.Millisecond))
}

// process applies one delivery. What it changes in the mirror and that it was
// processed are one transaction. An error means that not even the failure could
// be written down.
func (s *Syncer) process(ctx context.Context, conn *pgxpool.Conn, c *claimed) error {
	if c.attempts > deliveryAttempts {
		// It never came as far as to be counted: the process ended each time.
		return s.fail(ctx, conn, c, errors.New("the process ended each time it was tried"), true)
	}
	payload, err := c.Payload()
	if err != nil {
		return s.fail(ctx, conn, c, err, true)
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		out, err := ApplyWebhook(ctx, tx, c.Event, payload, c.ReceivedAt)
		if err != nil {
			return err
		}
		status, reason := "processed", strings.Join(out.Queued, ", ")
		if !out.Applied() {
			status, reason = "ignored", out.Ignored
		}
		_, err = tx.Exec(ctx, `UPDATE pghub.delivery SET status = $2, reason = $3, processed_at = clock_timestamp() WHERE seq = $1`,
			c.seq, status, storable(reason, 1000))
		return err
	})
	switch {
	case err == nil:
		c.done = true
		s.wakeUp() // a poll may be due earlier
		return nil
	case ctx.Err() != nil:
		return errors.Join(err, s.giveBack(ctx, c))
	}
	return s.fail(ctx, conn, c, err, errors.Is(err, ErrPayload))
}

// fail writes down why a try failed, and when the next one is, if any.
func (s *Syncer) fail(ctx context.Context, conn *pgxpool.Conn, c *claimed, cause error, final bool) error {
	final = final || c.attempts >= deliveryAttempts
	status, pause := "unprocessed", s.tune.redeliver<<min(c.attempts-1, 8)
	if final {
		status, pause = "errored", 0
	}
	if _, err := conn.Exec(ctx, `
UPDATE pghub.delivery
   SET status = $2, reason = $3, next_try = clock_timestamp() + $4::interval, processed_at = CASE WHEN $2 = 'errored' THEN clock_timestamp() END
 WHERE seq = $1`, c.seq, status, storable(cause.Error(), 1000), pause); err != nil {
		return fmt.Errorf("writing down that delivery %s failed: %w", c.GUID, err)
	}
	c.done = final
	// The cause may quote the payload; it stands in the table, beside it.
	if final {
		s.log.Error("a webhook delivery could not be processed; pghub deliveries show tells why", "guid", c.GUID, "event", c.Event, "attempts", c.attempts)
	} else {
		s.log.Warn("a webhook delivery failed and is tried again", "guid", c.GUID, "event", c.Event, "attempts", c.attempts, "retry_in", pause)
	}
	return nil
}

// giveBack undoes a claim when this process is asked to stop: no try counts. By
// then the lane may be another's, who counts on.
func (s *Syncer) giveBack(ctx context.Context, c *claimed) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_, err := s.pool.Exec(ctx, `
UPDATE pghub.delivery SET status = 'unprocessed', attempts = attempts - 1
 WHERE seq = $1 AND status = 'processing' AND attempts = $2`, c.seq, c.attempts)
	if err != nil {
		return fmt.Errorf("giving delivery %s back: %w", c.GUID, err)
	}
	return nil
}

// tendDeliveries queues deliveries that have no job any more, and drops what
// has been kept long enough.
func (s *Syncer) tendDeliveries(ctx context.Context) error {
	err := inTx(ctx, s.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
SELECT seq, lane FROM pghub.delivery
 WHERE status IN ('unprocessed', 'processing')
   AND seq NOT IN (SELECT (args ->> 'seq')::bigint FROM pghub.river_job WHERE kind = $1 AND finalized_at IS NULL)
 ORDER BY seq LIMIT 1000`, deliveryArgs{}.Kind())
		if err != nil {
			return err
		}
		list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[deliveryArgs])
		if err != nil {
			return err
		}
		return queueDeliveries(ctx, tx, list)
	})
	if err != nil {
		return fmt.Errorf("looking for deliveries without a job: %w", err)
	}
	const batch = 1000
	for {
		tag, err := s.pool.Exec(ctx, `
DELETE FROM pghub.delivery WHERE guid IN (
    SELECT guid FROM pghub.delivery
     WHERE status IN ('processed', 'ignored') AND processed_at < clock_timestamp() - $1::interval
     ORDER BY processed_at LIMIT $2 FOR UPDATE SKIP LOCKED)`, s.cfg.DeliveryRetention, batch)
		if err != nil {
			return fmt.Errorf("dropping old deliveries: %w", err)
		}
		if tag.RowsAffected() < batch {
			break
		}
	}
	// Their own rows tell what became of deliveries; there are too many of these
	// jobs to keep them like others.
	if _, err := s.pool.Exec(ctx, `
DELETE FROM pghub.river_job WHERE kind = $1 AND state = 'completed' AND finalized_at < now() - interval '1 minute'`, deliveryArgs{}.Kind()); err != nil {
		return fmt.Errorf("dropping the jobs of processed deliveries: %w", err)
	}
	return nil
}

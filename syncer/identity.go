package syncer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// River cannot know at once that a process died while it worked on a job: the
// job stays "running" until a time-out that must be longer than any job. So
// each syncer holds an advisory lock whose number is part of its client id.
// Postgres frees the lock when the process dies, and whoever finds a running
// job whose lock is free puts the job back into the queue.

// lockClass is the first key of these locks; the second is the process.
const lockClass = 0x70676875 // "pghu"

const clientPrefix = "pghub-"

type identity struct {
	number int32
	conn   *pgxpool.Conn
}

func newIdentity() *identity { return &identity{number: rand.Int32N(1<<31-2) + 1} }

func (i *identity) name() string { return clientPrefix + strconv.Itoa(int(i.number)) }

// hold takes the lock, or makes sure that it is still held.
func (i *identity) hold(ctx context.Context, pool *pgxpool.Pool) error {
	if i.conn != nil {
		ping, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if i.conn.Ping(ping) == nil {
			return nil
		}
		i.release()
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("taking a connection for the syncer's lock: %w", err)
	}
	var mine bool
	err = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1, $2)`, int32(lockClass), i.number).Scan(&mine)
	if err == nil && !mine {
		err = fmt.Errorf("number %d is taken", i.number)
	}
	if err != nil {
		conn.Release()
		return fmt.Errorf("taking the syncer's lock: %w", err)
	}
	i.conn = conn
	return nil
}

// release gives the lock back by closing its connection, which also works
// when the server does not answer any more.
func (i *identity) release() {
	if i.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = i.conn.Hijack().Close(ctx)
	i.conn = nil
}

// takeOver puts jobs of dead processes back into the queue.
func (s *Syncer) takeOver(ctx context.Context) error {
	tag, err := s.pool.Exec(ctx, `
UPDATE pghub.river_job j
   SET state = 'available', scheduled_at = now(), attempt = greatest(attempt - 1, 0)
 WHERE j.state = 'running'
   AND j.attempted_by[array_upper(j.attempted_by, 1)] ~ ('^' || $1::text || '[0-9]{1,10}$')
   AND NOT EXISTS (
       SELECT FROM pg_locks l
        WHERE l.locktype = 'advisory' AND l.classid = $2 AND l.objsubid = 2 AND l.granted
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND l.objid::bigint = substr(j.attempted_by[array_upper(j.attempted_by, 1)], length($1::text) + 1)::bigint)`,
		clientPrefix, uint32(lockClass))
	if err != nil {
		return fmt.Errorf("looking for jobs of dead processes: %w", err)
	}
	if n := tag.RowsAffected(); n > 0 {
		s.log.Info("took over jobs of a process that ended", "jobs", n)
	}
	return nil
}

package syncer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"

	"github.com/pghub/pghub/internal/ghapi"
)

// Syncer keeps the mirror current. Make one with New; it works during Run.
type Syncer struct {
	cfg      Config
	tune     tuning
	pool     *pgxpool.Pool
	api      *ghapi.Client
	log      *slog.Logger
	progress ProgressSink
	identity *identity
	client   *river.Client[pgx.Tx]
	wake     chan struct{}
	started  atomic.Bool
	// eventsDue is when the partitions of github.event are looked at next;
	// only the schedule's goroutine uses it.
	eventsDue time.Time
}

// New checks cfg and prepares a syncer. It neither connects nor sends
// anything. An error names the setting that is unusable.
func New(cfg Config) (*Syncer, error) { return newSyncer(cfg, defaultTuning()) }

func newSyncer(cfg Config, tune tuning) (*Syncer, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	s := &Syncer{
		cfg: cfg, tune: tune, pool: cfg.Pool, api: cfg.API, log: cfg.Logger, progress: cfg.Progress,
		identity: newIdentity(), wake: make(chan struct{}, 1),
	}
	if s.client, err = s.newClient(); err != nil {
		return nil, err
	}
	return s, nil
}

// stopTimeout bounds how long Run takes to end. Jobs are interrupted at once;
// a page under way is rolled back and read again by the next process.
const stopTimeout = 10 * time.Second

// Run syncs until ctx ends and then returns nil, within seconds and with all
// its goroutines ended. It returns an error when it cannot start, for example
// because the database was not migrated, or cannot stop in time. A Syncer runs
// once.
func (s *Syncer) Run(ctx context.Context) error {
	if s.started.Swap(true) {
		return errors.New("this syncer ran before")
	}
	defer s.identity.release()
	if err := s.begin(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s.schedule(ctx)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := s.client.StopAndCancel(stop); err != nil {
		return fmt.Errorf("stopping the job queue: %w", err)
	}
	return nil
}

// begin does what must be done before the first job runs.
func (s *Syncer) begin(ctx context.Context) error {
	if err := s.configure(ctx); err != nil {
		return err
	}
	if err := s.identity.hold(ctx, s.pool); err != nil {
		return err
	}
	if err := s.takeOver(ctx); err != nil {
		return err
	}
	// Jobs that are in the queue before River starts are fetched at once, those
	// that come later when it hears of them.
	if _, err := s.queueDue(ctx); err != nil {
		return err
	}
	// River gets a context of its own: the end of ctx must reach it as a stop,
	// so that interrupted jobs are put back rather than counted as failed.
	if err := s.client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("starting the job queue: %w", err)
	}
	return nil
}

// configure writes down what is to be followed, and makes the look for
// repositories due now.
func (s *Syncer) configure(ctx context.Context) error {
	err := inTx(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `
INSERT INTO pghub.followed (name, named) SELECT name, true FROM unnest($1::text[]) AS name
ON CONFLICT (lower(name)) WHERE named DO NOTHING`, s.cfg.Repos); err != nil {
			return err
		}
		// What was named and is no longer, or was seen and is now not named.
		if _, err := tx.Exec(ctx, `
UPDATE pghub.followed f
   SET active = want.active
  FROM (SELECT id, CASE WHEN cardinality($1::text[]) = 0 THEN NOT named AND last_error IS NULL
                        ELSE named AND lower(name) IN (SELECT lower(n) FROM unnest($1::text[]) AS n) END AS active
          FROM pghub.followed) want
 WHERE want.id = f.id AND want.active <> f.active`, s.cfg.Repos); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
INSERT INTO pghub.sync_state (repository_id, collection, state, next_poll_at) VALUES (0, $1, $2, clock_timestamp())
ON CONFLICT (repository_id, collection) DO UPDATE SET next_poll_at = clock_timestamp()`, accountCollection, StatePending); err != nil {
			return err
		}
		// A shorter interval than that of the last run counts from now.
		_, err := tx.Exec(ctx, `
UPDATE pghub.sync_state SET next_poll_at = least(next_poll_at, clock_timestamp() + $1::interval) WHERE next_poll_at IS NOT NULL`, s.cfg.PollInterval)
		return err
	})
	if err != nil {
		return fmt.Errorf("writing down which repositories to follow: %w", err)
	}
	return nil
}

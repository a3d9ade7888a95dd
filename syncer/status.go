package syncer

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// CollectionStatus is where one collection of one repository stands.
type CollectionStatus struct {
	// RepositoryID is 0 for the accounts, which belong to no repository, and
	// for a named repository that GitHub has not shown yet.
	RepositoryID int64 `json:"repository_id,omitempty"`
	// Repository is the present full name, or the configured one.
	Repository string `json:"repository,omitempty"`
	// Collection is the table's name.
	Collection string `json:"collection"`
	State      State  `json:"state"`
	// Complete tells that the first backfill is done.
	Complete bool `json:"complete"`
	// Rows counts the rows in the mirror.
	Rows int64 `json:"rows"`
	// Done and Expected count the objects of GitHub's list during the first
	// backfill. Expected is an estimate, 0 while unknown.
	Done     int64 `json:"done"`
	Expected int64 `json:"expected"`
	// Cursor is the time up to which changes are known for certain; zero for
	// collections that are read as a whole.
	Cursor time.Time `json:"cursor,omitzero"`
	// LastSync is when GitHub last confirmed what the mirror holds.
	LastSync time.Time `json:"last_sync,omitzero"`
	// WaitingUntil is when GitHub's limit ends, in StateLimited.
	WaitingUntil time.Time `json:"waiting_until,omitzero"`
	// LastError is why the last try failed; it goes with the next success.
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
}

// Percent is how much of the first backfill is done, from 0 to 100, or -1
// while nobody knows how much there is.
func (c CollectionStatus) Percent() int {
	switch {
	case c.Complete:
		return 100
	case c.Expected <= 0:
		return -1
	}
	return int(min(99, c.Done*100/c.Expected))
}

// Status lists the collections of all followed repositories, accounts first,
// then by repository name. It needs only read access to both schemas.
func Status(ctx context.Context, pool *pgxpool.Pool) ([]CollectionStatus, error) {
	list, err := status(ctx, pool)
	if err != nil {
		return nil, err
	}
	counts, err := counts(ctx, pool)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Rows = counts[countOf{list[i].Collection, list[i].RepositoryID}]
	}
	return list, nil
}

// Status is the package's function of the same name on the syncer's pool.
func (s *Syncer) Status(ctx context.Context) ([]CollectionStatus, error) { return Status(ctx, s.pool) }

// Ready tells whether the first backfill of everything that can be followed is
// complete. A repository that GitHub does not show is part of the list with
// its error but does not keep the rest from being ready, unless nothing else is
// there. Rows are those the backfill stored, which costs less than counting.
func Ready(ctx context.Context, pool *pgxpool.Pool) (bool, []CollectionStatus, error) {
	list, err := status(ctx, pool)
	if err != nil {
		return false, nil, err
	}
	var followed, refused int
	ready := false // until the credential's own row says so
	for _, c := range list {
		switch {
		case c.Collection == accountCollection:
			ready = c.Complete
		case c.Complete:
			followed++
		case c.RepositoryID == noRepository && c.State == StateError || c.State == StateAccessLost:
			refused++
		default:
			return false, list, nil
		}
	}
	return ready && (followed > 0 || refused == 0), list, nil
}

// Ready is the package's function of the same name on the syncer's pool.
func (s *Syncer) Ready(ctx context.Context) (bool, []CollectionStatus, error) {
	return Ready(ctx, s.pool)
}

func status(ctx context.Context, pool *pgxpool.Pool) ([]CollectionStatus, error) {
	rows, err := pool.Query(ctx, `
WITH followed AS (
    SELECT DISTINCT ON (repository_id) repository_id, name
      FROM pghub.followed WHERE active AND repository_id IS NOT NULL ORDER BY repository_id, id)
SELECT s.repository_id, coalesce(r.full_name, f.name, ''), s.collection, s.state, s.backfilled_at IS NOT NULL,
       coalesce(s.rows_done, 0), s.items_done, coalesce(s.rows_expected, 0), (s.cursor ->> 'since')::timestamptz,
       s.last_sync_at, s.waiting_until, coalesce(s.last_error, ''), s.last_error_at
  FROM pghub.sync_state s
  LEFT JOIN followed f ON f.repository_id = s.repository_id
  LEFT JOIN github.repository r ON r.id = s.repository_id
 WHERE f.repository_id IS NOT NULL OR s.repository_id = 0
UNION ALL
SELECT 0, f.name, 'repository', CASE WHEN f.last_error IS NULL THEN 'pending' ELSE 'error' END, false,
       0, 0, 0, NULL, NULL, NULL, coalesce(f.last_error, ''), f.last_error_at
  FROM pghub.followed f
 WHERE f.active AND f.repository_id IS NULL
 ORDER BY 2, 3`)
	if err != nil {
		return nil, fmt.Errorf("reading the state of the sync: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c CollectionStatus, err error) {
		var cursor, synced, until, failed *time.Time
		err = row.Scan(&c.RepositoryID, &c.Repository, &c.Collection, &c.State, &c.Complete,
			&c.Rows, &c.Done, &c.Expected, &cursor, &synced, &until, &c.LastError, &failed)
		for to, from := range map[*time.Time]*time.Time{&c.Cursor: cursor, &c.LastSync: synced, &c.WaitingUntil: until, &c.LastErrorAt: failed} {
			if from != nil {
				*to = from.UTC()
			}
		}
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the state of the sync: %w", err)
	}
	return list, nil
}

type countOf struct {
	collection   string
	repositoryID int64
}

// counts counts the rows of every mirrored table by repository.
func counts(ctx context.Context, pool *pgxpool.Pool) (map[countOf]int64, error) {
	sql := `SELECT 'account', 0::bigint, count(*) FROM github.account
UNION ALL SELECT 'repository', id, 1 FROM github.repository`
	for _, c := range collections {
		sql += fmt.Sprintf("\nUNION ALL SELECT '%s', repository_id, count(*) FROM github.%s GROUP BY repository_id", c.name, pgx.Identifier{c.name}.Sanitize())
	}
	rows, err := pool.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("counting the rows of the mirror: %w", err)
	}
	list := map[countOf]int64{}
	var key countOf
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&key.collection, &key.repositoryID, &n}, func() error {
		list[key] = n
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("counting the rows of the mirror: %w", err)
	}
	return list, nil
}

package syncer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghub/pghub/internal/ghapi"
)

// State is what a collection is doing, as `pghub status` prints it.
type State string

// The states. pending, backfilling and live follow one another; the others
// say what holds the work up.
const (
	// StatePending: the first backfill has not begun.
	StatePending State = "pending"
	// StateBackfilling: the first backfill is under way.
	StateBackfilling State = "backfilling"
	// StateLive: the first backfill is complete, polls keep it current.
	StateLive State = "live"
	// StateLimited: GitHub's rate limit holds it up until WaitingUntil.
	StateLimited State = "limited"
	// StateError: the last try failed with LastError; it is tried again.
	StateError State = "error"
	// StateAccessLost: GitHub no longer shows the repository to this
	// credential. Its rows stay as they are.
	StateAccessLost State = "access_lost"
)

// The rows of sync_state that are not lists: the repository's own object,
// and, with repository 0, the credential itself.
const (
	repositoryCollection = "repository"
	accountCollection    = "account"
	noRepository         = 0
)

// cursor is where polling of a collection stands.
type cursor struct {
	// Since is the newest updated_at that the mirror holds for certain.
	Since time.Time `json:"since,omitzero"`
	// Pages are the pages of the last complete list that did not change
	// since, for conditional requests.
	Pages []pageTag `json:"pages,omitempty"`
}

// pageTag identifies what a page held.
type pageTag struct {
	URL  string `json:"url"`
	ETag string `json:"etag"`
	// Full pages may get a successor without changing themselves.
	Full bool `json:"full,omitempty"`
}

// position is one row of pghub.sync_state.
type position struct {
	RepositoryID int64
	Repository   string
	Collection   string
	State        State
	Next         string
	Cursor       cursor
	Rows         int64
	Items        int64
	Expected     int64
	Backfilled   bool
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// errNotFollowed says that a job's repository was forgotten meanwhile.
var errNotFollowed = errors.New("the repository is not followed")

// load reads where a collection stands; inside a transaction it also locks
// that row, which keeps two processes from advancing one collection.
func load(ctx context.Context, db querier, repositoryID int64, name string) (position, error) {
	sql := `
SELECT coalesce(r.full_name, ''), s.state, coalesce(s.next_url, ''), coalesce(s.cursor, '{}'), coalesce(s.rows_done, 0),
       s.items_done, coalesce(s.rows_expected, 0), s.backfilled_at IS NOT NULL
  FROM pghub.sync_state s
  LEFT JOIN github.repository r ON r.id = s.repository_id
 WHERE s.repository_id = $1 AND s.collection = $2`
	if _, ok := db.(pgx.Tx); ok {
		sql += " FOR UPDATE OF s"
	}
	p := position{RepositoryID: repositoryID, Collection: name}
	var raw []byte
	err := db.QueryRow(ctx, sql, repositoryID, name).
		Scan(&p.Repository, &p.State, &p.Next, &raw, &p.Rows, &p.Items, &p.Expected, &p.Backfilled)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, errNotFollowed
	}
	if err == nil {
		err = json.Unmarshal(raw, &p.Cursor)
	}
	if err != nil {
		return p, fmt.Errorf("reading where %s of repository %d stands: %w", name, repositoryID, err)
	}
	return p, nil
}

// save writes p back after a success: what held the work up is over.
func (p position) save(ctx context.Context, db querier) error {
	raw, err := json.Marshal(p.Cursor)
	if err != nil {
		return fmt.Errorf("encoding the cursor of %s: %w", p.Collection, err)
	}
	p.State = StateBackfilling
	if p.Backfilled {
		p.State = StateLive
	}
	_, err = db.Exec(ctx, `
UPDATE pghub.sync_state
   SET state = $3, next_url = nullif($4, ''), cursor = $5, rows_done = $6, items_done = $7, rows_expected = nullif($8, 0),
       backfilled_at = CASE WHEN $9 THEN coalesce(backfilled_at, clock_timestamp()) END,
       last_sync_at = clock_timestamp(), waiting_until = NULL, last_error = NULL, last_error_at = NULL
 WHERE repository_id = $1 AND collection = $2`,
		p.RepositoryID, p.Collection, p.State, p.Next, raw, p.Rows, p.Items, p.Expected, p.Backfilled)
	if err != nil {
		return fmt.Errorf("noting where %s of repository %d stands: %w", p.Collection, p.RepositoryID, err)
	}
	return nil
}

// done tells that no scan of the whole list is under way or due.
func (p position) done() bool { return p.Backfilled && p.Next == "" }

func (p position) progress() Progress {
	return Progress{
		RepositoryID: p.RepositoryID, Repository: p.Repository, Collection: p.Collection,
		State: p.State, Done: p.Items, Expected: p.Expected,
	}
}

// held records why a collection does not advance, for status and progress.
// Nothing is recorded when the cause is the end of our own context.
func (s *Syncer) held(ctx context.Context, repositoryID int64, name string, cause error) {
	if ctx.Err() != nil || cause == nil {
		return
	}
	state, until := StateError, time.Time{}
	switch e := (*ghapi.Error)(nil); {
	case errors.As(cause, &e) && e.Class == ghapi.ClassLimited:
		state, until = StateLimited, e.RetryAt
	case errors.Is(cause, errAccessLost):
		state = StateAccessLost
	}
	p, err := load(ctx, s.pool, repositoryID, name)
	if err == nil {
		// A limit is not an error of the collection: the last error stays.
		_, err = s.pool.Exec(ctx, `
UPDATE pghub.sync_state
   SET state = $3, waiting_until = $4,
       last_error = CASE WHEN $3 = 'limited' THEN last_error ELSE $5 END,
       last_error_at = CASE WHEN $3 = 'limited' THEN last_error_at ELSE clock_timestamp() END
 WHERE repository_id = $1 AND collection = $2`,
			repositoryID, name, state, orNil(until), message(cause))
	}
	if err != nil {
		s.log.Error("cannot record why a collection does not advance", "repository_id", repositoryID, "collection", name, "cause", message(cause), "err", err)
		return
	}
	level := slog.LevelWarn
	switch {
	case p.State == state:
		level = slog.LevelDebug // said before
	case state == StateLimited:
		level = slog.LevelInfo
	}
	fields := []any{"repository", p.Repository, "collection", name, "state", state, "cause", message(cause)}
	if !until.IsZero() {
		fields = append(fields, "until", until)
	}
	s.log.Log(ctx, level, "collection held up", fields...)
	note := p.progress()
	note.State, note.WaitingUntil = state, until
	if state != StateLimited {
		note.Err = cause
	}
	s.progress.Progress(note)
}

// message is what of an error goes into a table that every reader may see.
// Errors of ghapi and pgx hold no credentials.
func message(err error) string {
	const most = 1000
	m := strings.ToValidUTF8(strings.ReplaceAll(err.Error(), "\x00", "\uFFFD"), "\uFFFD")
	if len(m) > most {
		m = strings.ToValidUTF8(m[:most], "") + " ..."
	}
	return m
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Package writers carries planned row changes to GitHub: a change as the
// write-through trigger reported it goes in, GitHub's own row comes out. Each
// writable table has one file that says what may be set, which requests carry
// it, and how to find out afterwards what GitHub holds.
//
// Every error is a *Refusal: an SQLSTATE and the sentences that a person in
// psql reads. Where GitHub's answer got lost, the writer finds out by itself
// what happened before it gives up with 08007.
package writers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/pghub/pghub/internal/ghapi"
)

// ErrNotFound is what a Lookup returns (wrapped or not) for an id that the
// mirror does not have.
var ErrNotFound = errors.New("not in the mirror")

// Lookup answers from the mirror what GitHub's API wants to be told by name or
// number. Its methods return ErrNotFound for ids that the mirror does not have.
type Lookup interface {
	// Repository returns "owner/name".
	Repository(ctx context.Context, id int64) (fullName string, err error)
	// Milestone returns the milestone's repository and its number there.
	Milestone(ctx context.Context, id int64) (repositoryID int64, number int, err error)
}

// table is one writable table.
type table interface {
	check(ctx context.Context, p *Planned) error
	apply(ctx context.Context, r *run, p *Planned) error
	fetch(ctx context.Context, r *run, at place) error
	findCreated(ctx context.Context, r *run, p *Planned, since time.Time) (bool, error)
}

// place says where a row is: number within the repository, id to be sure.
type place struct {
	repositoryID int64
	fullName     string
	id, number   int64
}

// Writers carries changes to one GitHub. It is safe for concurrent use.
type Writers struct {
	api    *ghapi.Client
	lookup Lookup
	log    *slog.Logger
	tables map[string]table
	settle []time.Duration

	mu      sync.Mutex
	login   string // of the credential, once asked for
	asked   bool
	created map[int64]time.Time // rows created here lately, by id
}

// Option changes a default of New.
type Option func(*Writers)

// WithSettle sets the waits between the looks at GitHub after an answer got
// lost or a read seems stale. The default, four waits of 3.7 seconds together,
// allows for the delay of GitHub's replicas.
func WithSettle(waits ...time.Duration) Option {
	return func(w *Writers) { w.settle = waits }
}

// WithLogger sets where lost answers are logged. The default is
// slog.Default().
func WithLogger(l *slog.Logger) Option { return func(w *Writers) { w.log = l } }

// New returns writers that send through api and resolve ids through lookup.
func New(api *ghapi.Client, lookup Lookup, options ...Option) *Writers {
	w := &Writers{
		api:     api,
		lookup:  lookup,
		log:     slog.Default(),
		settle:  []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second},
		created: make(map[int64]time.Time),
	}
	for _, o := range options {
		o(w)
	}
	w.tables = map[string]table{"issue": issueTable{w}}
	return w
}

// Check decides without any request whether the change may be sent, and plans
// it. Errors are *Refusal.
func (w *Writers) Check(ctx context.Context, c Change) (*Planned, error) {
	t, ok := w.tables[c.Table]
	if !ok {
		return nil, readOnlyTable(c.Table)
	}
	p := &Planned{Change: c}
	if err := t.check(ctx, p); err != nil {
		return nil, Refuse(err)
	}
	return p, nil
}

// Apply sends the requests of a change that Check planned. Errors are
// *Refusal; a Row (or Deleted) beside an error means that GitHub accepted a
// part, and shows what it holds by now.
//
// A change whose answer got lost is looked up: a create is adopted if exactly
// one issue fits and is never sent twice; other changes are compared with what
// was wanted and sent once more if they are not there.
func (w *Writers) Apply(ctx context.Context, p *Planned) (Result, error) {
	r := &run{w: w}
	if p.NoOp {
		return r.res, nil
	}
	if err := w.tables[p.Table].apply(ctx, r, p); err != nil {
		return r.res, Refuse(err)
	}
	return r.res, nil
}

// Fetch reads the present state of a row, for repairs. Deleted is set only
// when GitHub leaves no doubt: 410, a transfer, or 404 while the repository is
// still there. id may be 0 when only the number is known. Errors are *Refusal.
func (w *Writers) Fetch(ctx context.Context, tableName string, repositoryID, id, number int64) (Result, error) {
	t, ok := w.tables[tableName]
	if !ok {
		return Result{}, readOnlyTable(tableName)
	}
	name, err := w.repository(ctx, repositoryID)
	if err != nil {
		return Result{}, Refuse(err)
	}
	r := &run{w: w}
	if err := t.fetch(ctx, r, place{repositoryID, name, id, number}); err != nil {
		return r.res, Refuse(err)
	}
	return r.res, nil
}

// FindCreated looks once for the row that a create of unknown outcome may have
// made: the credential's own, newest first, with exactly the planned title and
// body, created at since or later (by this machine's clock) and not known to
// belong to another create. More than one fit is an error (08007). Errors are
// *Refusal.
func (w *Writers) FindCreated(ctx context.Context, p *Planned, since time.Time) (Result, bool, error) {
	r := &run{w: w}
	found, err := w.tables[p.Table].findCreated(ctx, r, p, since)
	if err != nil {
		return r.res, false, Refuse(err)
	}
	return r.res, found, nil
}

// repository resolves a repository id, as a foreign key violation if it fails.
func (w *Writers) repository(ctx context.Context, id int64) (string, error) {
	name, err := w.lookup.Repository(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return "", &Refusal{
			SQLSTATE: codeForeignKey,
			Message:  fmt.Sprintf("repository %d is not in the mirror", id),
			Hint:     "SELECT id, full_name FROM github.repository lists those that are.",
			Err:      err,
		}
	}
	if err != nil {
		return "", fmt.Errorf("looking up repository %d: %w", id, err)
	}
	if owner, repo, ok := strings.Cut(name, "/"); !ok || owner == "" || repo == "" || strings.Contains(repo, "/") {
		return "", fmt.Errorf("looking up repository %d: the mirror calls it %q, which is not owner/name", id, name)
	}
	return name, nil
}

// ownLogin is the login of the credential, or "" when GitHub does not tell
// (installation tokens have no user).
func (w *Writers) ownLogin(ctx context.Context, r *run) (string, error) {
	w.mu.Lock()
	login, asked := w.login, w.asked
	w.mu.Unlock()
	if asked {
		return login, nil
	}
	resp, err := r.do(ctx, ghapi.Request{Path: "user"})
	switch ghapi.ClassOf(err) {
	case ghapi.ClassPermission, ghapi.ClassNotFound:
		err = nil
	case ghapi.ClassNone:
		if err == nil {
			var user struct {
				Login string `json:"login"`
			}
			err = resp.Decode(&user)
			login = user.Login
		}
	}
	if err != nil {
		return "", err
	}
	w.mu.Lock()
	w.login, w.asked = login, true
	w.mu.Unlock()
	return login, nil
}

// claim notes that a create made this row, and tells whether it was the first
// to say so.
func (w *Writers) claim(id int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, taken := w.created[id]; taken {
		return false
	}
	now := time.Now()
	if len(w.created) >= 10_000 {
		for old, at := range w.created {
			if now.Sub(at) > time.Hour {
				delete(w.created, old)
			}
		}
	}
	w.created[id] = now
	return true
}

func (w *Writers) claimed(id int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, taken := w.created[id]
	return taken
}

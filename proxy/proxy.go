// Package proxy speaks the Postgres wire protocol between clients and a
// Postgres server. It passes everything through untouched, except that a
// statement which changes a mirrored table is applied to GitHub first
// (docs/decisions/0002-plan-and-apply.md).
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/internal/ledger"
	"github.com/pghub/pghub/sqlparse"
	"github.com/pghub/pghub/writers"
)

// Writer is what the proxy needs of package writers: check a planned row
// change without a request, carry it out on GitHub, and look up what GitHub
// holds when that has become doubtful.
type Writer interface {
	// Check returns a *writers.Refusal for a change that must not be sent.
	Check(ctx context.Context, c writers.Change) (*writers.Planned, error)
	// Apply makes GitHub's side of the change. With an error, the result still
	// has the row if GitHub accepted a part.
	Apply(ctx context.Context, p *writers.Planned) (writers.Result, error)
	// Fetch returns a row as GitHub has it now, or Deleted.
	Fetch(ctx context.Context, table string, repositoryID, id, number int64) (writers.Result, error)
	// FindCreated looks for a row that a create with an unknown outcome may have made.
	FindCreated(ctx context.Context, p *writers.Planned, since time.Time) (writers.Result, bool, error)
}

// Config says what to serve.
type Config struct {
	// Listen is the TCP address for clients; port 0 lets the kernel pick.
	Listen string
	// DatabaseURL names the server clients are connected to (its host, port or
	// socket directory) and the database that holds the mirror. Its user and
	// password are not used for clients.
	DatabaseURL string
	// Pool runs as pghub_sync on the mirror; needed for write-through.
	Pool *pgxpool.Pool
	// Writer carries writes to GitHub. Nil: nothing is intercepted, and the
	// triggers refuse writes to mirrored tables.
	Writer Writer
	// DialTimeout bounds connecting to the server; 0 means 10 s.
	DialTimeout time.Duration
	// StartupTimeout bounds a client's start-up packet; 0 means 60 s.
	StartupTimeout time.Duration
	Logger         *slog.Logger
}

// Proxy accepts clients. Make one with New, run it with Serve.
type Proxy struct {
	cfg        Config
	log        *slog.Logger
	listener   net.Listener
	network    string // of the server, for net.Dial
	address    string
	mirror     string // name of the mirrored database
	classifier *sqlparse.Classifier
	ledger     *ledger.Ledger
	watched    watchList
	signer     signer
	stored     storedRows
	repairs    chan struct{}  // a token wakes the repair loop
	outcomes   chan []outcome // for the ledger, off the clients' path

	mu       sync.Mutex
	sessions map[*session]struct{}
	keys     map[string]*session // by BackendKeyData
	busy     map[int64]struct{}  // ledger entries of statements under way
	closing  bool
	wg       sync.WaitGroup
}

// New opens the listener and, if there is a Writer, reads the signing key and
// the names of the writable tables from the mirror. The listener queues
// clients until Serve is called.
func New(ctx context.Context, cfg Config) (*Proxy, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.DialTimeout == 0 {
		cfg.DialTimeout = 10 * time.Second
	}
	if cfg.StartupTimeout == 0 {
		cfg.StartupTimeout = 60 * time.Second
	}
	server, err := pgconn.ParseConfig(cfg.DatabaseURL)
	if err != nil {
		// pgx's message may quote the URL, which may hold a password.
		return nil, errors.New("the database URL is not a valid Postgres connection string")
	}
	p := &Proxy{
		cfg: cfg, log: cfg.Logger, mirror: server.Database,
		sessions: map[*session]struct{}{}, keys: map[string]*session{}, busy: map[int64]struct{}{},
		repairs: make(chan struct{}, 1), outcomes: make(chan []outcome, 1024),
	}
	p.network, p.address = pgconn.NetworkAddress(server.Host, server.Port)
	if cfg.Writer != nil {
		p.classifier = sqlparse.New(sqlparse.Config{})
		if p.ledger, err = ledger.New(cfg.Pool); err != nil {
			return nil, err
		}
		if err := p.signer.load(ctx, cfg.Pool); err != nil {
			return nil, err
		}
		if err := p.refreshWatched(ctx); err != nil {
			return nil, err
		}
	}
	if p.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("listening for Postgres clients: %w", err)
	}
	return p, nil
}

// Addr is the address clients connect to.
func (p *Proxy) Addr() net.Addr { return p.listener.Addr() }

// Sessions is the number of connected clients.
func (p *Proxy) Sessions() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sessions)
}

// Serve accepts clients until ctx ends, then closes the listener, ends every
// session and returns nil once they are gone and the ledger is up to date.
// Writes that GitHub is working on are awaited, bounded by GitHub's request
// timeout.
func (p *Proxy) Serve(ctx context.Context) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var owned sync.WaitGroup
	if p.cfg.Writer != nil {
		owned.Go(func() { p.ledger.HoldLease(background) })
		owned.Go(func() { p.repairLoop(background) })
		owned.Go(func() { p.recordLoop() })
		owned.Go(func() { p.watchLoop(background) })
	}
	done := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
		case <-done:
		}
		p.listener.Close()
		p.endSessions()
	}()

	err := p.accept(ctx)
	close(done)
	p.endSessions()
	p.wg.Wait()
	close(p.outcomes)
	stop()
	owned.Wait()
	return err
}

func (p *Proxy) accept(ctx context.Context) error {
	wait := time.Duration(0)
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			// Out of file descriptors, say: clients that leave make room.
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			p.log.Warn("accepting a client failed", "error", err, "retry_in", wait)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(wait):
			}
			continue
		}
		wait = 0
		s := newSession(p, conn)
		p.mu.Lock()
		if p.closing {
			p.mu.Unlock()
			conn.Close()
			continue
		}
		p.sessions[s] = struct{}{}
		p.wg.Add(1)
		p.mu.Unlock()
		go func() {
			defer p.wg.Done()
			defer p.forget(s)
			s.serve(context.WithoutCancel(ctx))
		}()
	}
}

func (p *Proxy) forget(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.sessions, s)
	if s.key != "" && p.keys[s.key] == s {
		delete(p.keys, s.key)
	}
}

func (p *Proxy) endSessions() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = true
	for s := range p.sessions {
		s.shutdown()
	}
}

// dial connects to the server.
func (p *Proxy) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.DialTimeout)
	defer cancel()
	return (&net.Dialer{}).DialContext(ctx, p.network, p.address)
}

// remember makes the session reachable for cancel requests that carry key.
func (p *Proxy) remember(key string, s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.key = key
	p.keys[key] = s
}

func (p *Proxy) markBusy(ids []int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		p.busy[id] = struct{}{}
	}
}

func (p *Proxy) unmarkBusy(ids []int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		delete(p.busy, id)
	}
}

func (p *Proxy) busyIDs() []int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := make([]int64, 0, len(p.busy))
	for id := range p.busy {
		ids = append(ids, id)
	}
	return ids
}

// Package web is pghub's HTTP side: whether it is alive, whether it is ready, and where GitHub's webhooks arrive.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pghub/pghub/syncer"
)

// DefaultTimeout bounds one check when Config.Timeout is zero.
const DefaultTimeout = 5 * time.Second

// WebhookPath is where GitHub delivers.
const WebhookPath = "/github/webhook"

// Config says what the checks look at.
type Config struct {
	// Proxy is the address on which the proxy accepts clients.
	Proxy net.Addr
	// Database answers when the database does. *pgxpool.Pool does that.
	Database interface{ Ping(context.Context) error }
	// Sync tells whether the first backfill is complete, and how far each collection is; syncer.Ready does that. Nil: nothing is
	// synced here, and ready means healthy.
	Sync func(context.Context) (ready bool, progress []syncer.CollectionStatus, err error)
	// Webhooks says what becomes of GitHub's deliveries. The zero value: there is no such endpoint.
	Webhooks Webhooks
	// Timeout bounds one check. Zero: DefaultTimeout.
	Timeout time.Duration
	// Logger is told why a check failed: answers say only which. Nil: nobody is told.
	Logger *slog.Logger
}

// Handler answers
//
//	GET /healthz   200 when the proxy accepts a connection and the database answers, else 503
//	GET /readyz    200 when it is healthy and the first backfill is complete, else 503
//
// both as JSON: {"status": ..., "checks": {...}} and, for /readyz, "progress": the collections; and, with a secret,
//
//	POST /github/webhook   202 when the delivery is stored
func Handler(cfg Config) http.Handler {
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	h := &handler{cfg: cfg}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", h.health)
	mux.HandleFunc("GET /readyz", h.ready)
	if cfg.Webhooks.Secret != "" {
		mux.Handle("POST "+WebhookPath, newWebhooks(cfg.Webhooks, cfg.Logger))
	}
	return mux
}

type handler struct{ cfg Config }

// answer is the body of both endpoints.
type answer struct {
	Status   string                    `json:"status"` // ok, unhealthy, syncing
	Checks   map[string]string         `json:"checks"` // by name: ok or failed
	Progress []syncer.CollectionStatus `json:"progress,omitzero"`
}

func (h *handler) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.Timeout)
	defer cancel()
	a := h.check(ctx)
	h.write(w, a)
}

func (h *handler) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), h.cfg.Timeout)
	defer cancel()
	a := h.check(ctx)
	if h.cfg.Sync != nil && a.Checks["database"] == "ok" {
		ready, progress, err := h.cfg.Sync(ctx)
		a.Progress = progress
		if a.note("sync", err, h.cfg.Logger); err == nil && !ready && a.Status == "ok" {
			a.Status = "syncing"
		}
	}
	h.write(w, a)
}

// check looks at the proxy and the database at the same time: one that hangs must not hide what the other says.
func (h *handler) check(ctx context.Context) *answer {
	a := &answer{Status: "ok", Checks: map[string]string{}}
	var proxyErr, databaseErr error
	var wg sync.WaitGroup
	wg.Go(func() { proxyErr = askProxy(ctx, h.cfg.Proxy) })
	wg.Go(func() { databaseErr = h.cfg.Database.Ping(ctx) })
	wg.Wait()
	a.note("proxy", proxyErr, h.cfg.Logger)
	a.note("database", databaseErr, h.cfg.Logger)
	return a
}

// note records a check. Errors go to the log, not to whoever can reach the port.
func (a *answer) note(name string, err error, log *slog.Logger) {
	if err == nil {
		a.Checks[name] = "ok"
		return
	}
	a.Checks[name] = "failed"
	a.Status = "unhealthy"
	log.Warn("health check failed", "check", name, "error", err)
}

func (h *handler) write(w http.ResponseWriter, a *answer) {
	body, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		h.cfg.Logger.Error("encoding the answer of a health check", "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if a.Status != "ok" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write(append(body, '\n')) // the asker is gone: nobody to tell
}

// sslRequest asks, before anything else, whether encryption is to be had; every Postgres server answers with one byte.
// PostgreSQL documentation, "Message Formats", SSLRequest.
var sslRequest = []byte{0, 0, 0, 8, 4, 210, 22, 47}

// askProxy connects and waits for a sign that somebody serves the connection: the kernel accepts for a process that hangs.
func askProxy(ctx context.Context, addr net.Addr) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, addr.Network(), reachable(addr))
	if err != nil {
		return fmt.Errorf("connecting to the proxy: %w", err)
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return fmt.Errorf("asking the proxy: %w", err)
		}
	}
	if _, err := conn.Write(sslRequest); err != nil {
		return fmt.Errorf("asking the proxy: %w", err)
	}
	var reply [1]byte
	if _, err := io.ReadFull(conn, reply[:]); err != nil {
		return fmt.Errorf("waiting for the proxy: %w", err)
	}
	if reply[0] != 'N' && reply[0] != 'S' {
		return fmt.Errorf("the proxy answered %q", reply[0])
	}
	return nil
}

// reachable is where a listener on all addresses can be reached from here.
func reachable(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return addr.String()
	}
	ip := net.IPv6loopback
	if tcp.IP.To4() != nil {
		ip = net.IPv4(127, 0, 0, 1)
	}
	return (&net.TCPAddr{IP: ip, Port: tcp.Port}).String()
}

// Serve answers on l until ctx ends, then lets requests under way finish (they are bounded), closes l and returns nil.
func Serve(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving HTTP on %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := server.Shutdown(stop)
	if err != nil {
		err = errors.Join(fmt.Errorf("ending HTTP on %s: %w", l.Addr(), err), server.Close())
	}
	<-failed
	return err
}

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/internal/embedpg"
	"github.com/pghub/pghub/schema"
)

// The login role that the embedded database offers to clients.
const (
	appRole         = "app"
	appPasswordFile = "app-password"
)

// databaseTimeout bounds migrations and the like.
const databaseTimeout = 10 * time.Minute

// startEmbedded runs the embedded server as a part of g, with the mirror's schema and the role app in it.
func startEmbedded(ctx context.Context, g *group, cfg embedpg.Config, log *slog.Logger) (*embedpg.Server, error) {
	cfg.Logger = log
	server, err := embedpg.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	g.start(rankPostgres, "embedded PostgreSQL", func(ctx context.Context) error {
		select {
		case <-ctx.Done():
		case <-server.Done():
			return fmt.Errorf("its server ended; see %s", filepath.Join(server.DataDir(), "postgres.log"))
		}
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout-10*time.Second)
		defer cancel()
		return server.Stop(stop)
	})
	if err := migrate(ctx, server.AdminURL()); err != nil {
		return nil, err
	}
	if err := ensureAppRole(ctx, server); err != nil {
		return nil, err
	}
	return server, nil
}

func migrate(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return schema.Migrate(ctx, url)
}

// startPool connects as the mirror's owner; the pool is closed when g stops.
func startPool(ctx context.Context, g *group, url string) (*pgxpool.Pool, error) {
	pool, err := schema.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	closePool(g, pool)
	return pool, nil
}

func closePool(g *group, pool *pgxpool.Pool) {
	g.start(rankPool, "database connections", func(ctx context.Context) error {
		<-ctx.Done()
		pool.Close()
		return nil
	})
}

// ensureAppRole makes the login role for clients: it reads and writes the mirror, finds its tables without a schema name, and
// may create tables of its own in schema public. Its password stays the same over restarts.
func ensureAppRole(ctx context.Context, server *embedpg.Server) error {
	password, err := appPassword(server.DataDir())
	if errors.Is(err, os.ErrNotExist) {
		password = rand.Text()
		err = writePrivate(filepath.Join(server.DataDir(), appPasswordFile), password+"\n")
	}
	if err != nil {
		return fmt.Errorf("keeping the password of role %s: %w", appRole, err)
	}
	conn, err := pgx.Connect(ctx, server.AdminURL())
	if err != nil {
		return fmt.Errorf("connecting to embedded PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return makeAppRole(ctx, tx, password) }); err != nil {
		return fmt.Errorf("creating role %s: %w", appRole, err)
	}
	return nil
}

func makeAppRole(ctx context.Context, tx pgx.Tx, password string) error {
	var exists bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", appRole).Scan(&exists); err != nil {
		return err
	}
	role := pgx.Identifier{appRole}.Sanitize()
	if !exists {
		if _, err := tx.Exec(ctx, "CREATE ROLE "+role); err != nil {
			return err
		}
	}
	// The server's log gets failed statements; this one holds the password. ALTER ROLE takes no parameters: the server quotes it.
	if _, err := tx.Exec(ctx, "SET LOCAL log_min_error_statement = panic"); err != nil {
		return err
	}
	var alter string
	if err := tx.QueryRow(ctx, "SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)", appRole, password).Scan(&alter); err != nil {
		return err
	}
	database := pgx.Identifier{tx.Conn().Config().Database}.Sanitize()
	for _, sql := range []string{
		alter,
		"GRANT " + schema.RoleReader + ", " + schema.RoleWriter + " TO " + role,
		"GRANT CREATE, USAGE ON SCHEMA public TO " + role,
		"ALTER ROLE " + role + " IN DATABASE " + database + " SET search_path = github, public",
	} {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func appPassword(dataDir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dataDir, appPasswordFile))
	return strings.TrimSpace(string(text)), err
}

// writePrivate makes a file that only we can read, whole or not at all.
func writePrivate(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// appURL is where clients of the embedded database connect to; with an empty password it holds none.
func appURL(address, password string) string {
	u := url.URL{Scheme: "postgres", User: url.User(appRole), Host: address, Path: "/pghub"}
	if password != "" {
		u.User = url.UserPassword(appRole, password)
	}
	return u.String()
}

// withDatabase calls do with a URL of the database that the settings mean: the one named; else the embedded one, which is
// asked where it runs, or else started for the time being.
func withDatabase(ctx context.Context, cfg config, log *slog.Logger, do func(url string) error) (err error) {
	if cfg.DatabaseURL != "" {
		return do(cfg.DatabaseURL)
	}
	dir, err := embeddedDataDir(cfg)
	if err != nil {
		return err
	}
	running, err := embedpg.RunningURL(dir, "")
	if err != nil {
		return err
	}
	if running != "" {
		return do(running)
	}
	server, err := embedpg.Start(ctx, embedpg.Config{DataDir: dir, Logger: log})
	if err != nil {
		return err
	}
	defer func() {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		err = errors.Join(err, server.Stop(stop))
	}()
	return do(server.AdminURL())
}

// embeddedDataDir is the data directory of the embedded database.
func embeddedDataDir(cfg config) (string, error) {
	if cfg.DataDir != "" {
		return cfg.DataDir, nil
	}
	if dir := defaultDataDir(); dir != "" {
		return dir, nil
	}
	return "", settingDataDir.bad("there is no home directory to put it in: name a directory")
}

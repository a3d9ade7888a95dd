package schema

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// oldestServer is the first server version with security_invoker views.
	oldestServer = 150000
	// migrateLock is the advisory lock that makes migrations of one database take turns. Any constant would do.
	migrateLock = 0x7067687562 // "pghub"
	// lockRetry is the pause between attempts at the lock. Waiting inside pg_advisory_lock would hold a snapshot, which
	// stops vacuum, and a CREATE INDEX CONCURRENTLY of the migration one waits for.
	lockRetry = 50 * time.Millisecond
)

// Migrate brings a database to the present schema: roles, schemas, tables, triggers, and the job queue's tables. It may
// be run again at any time, and from several processes at once: they take turns, bounded by ctx.
//
// The server must be PostgreSQL 15 or newer and the database UTF8. The user of the URL must be a superuser, or have
// CREATEROLE and CREATE on the database, or (for roles and schemas that exist already) be a member of pghub_sync; what
// is missing is said in one line.
func Migrate(ctx context.Context, databaseURL string) error {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return fmt.Errorf("reading the database URL: %w", err)
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "pghub migrate"
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connecting to the database: %w", err)
	}
	// Closing the session gives the lock back, whatever happened.
	defer conn.Close(context.WithoutCancel(ctx))

	if err := checkServer(ctx, conn); err != nil {
		return err
	}
	if err := lockMigrations(ctx, conn); err != nil {
		return err
	}
	if err := prepare(ctx, conn); err != nil {
		return err
	}
	// As a start-up parameter the role is what RESET ROLE, at the end of a migration, comes back to: everything made
	// belongs to pghub_sync.
	pool, err := migrationPool(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := migrateTables(ctx, pool); err != nil {
		return err
	}
	if err := publish(ctx, conn); err != nil {
		return err
	}
	return migrateQueue(ctx, pool)
}

func checkServer(ctx context.Context, conn *pgx.Conn) error {
	var version int
	var shown, encoding string
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_setting('server_encoding')`).
		Scan(&version, &shown, &encoding)
	if err != nil {
		return fmt.Errorf("asking the server for its version: %w", err)
	}
	if version < oldestServer {
		return fmt.Errorf("the server is PostgreSQL %s; pghub needs 15 or newer", shown)
	}
	if encoding != "UTF8" {
		return fmt.Errorf("database %q is encoded in %s; pghub needs a UTF8 database (CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0)",
			conn.Config().Database, encoding)
	}
	return nil
}

func lockMigrations(ctx context.Context, conn *pgx.Conn) error {
	for {
		var locked bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(migrateLock)).Scan(&locked); err != nil {
			return fmt.Errorf("locking the migrations: %w", err)
		}
		if locked {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for another migration of this database: %w", ctx.Err())
		case <-time.After(lockRetry):
		}
	}
}

func migrationPool(ctx context.Context, databaseURL string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("reading the database URL: %w", err)
	}
	config.ConnConfig.RuntimeParams["application_name"] = "pghub migrate"
	config.ConnConfig.RuntimeParams["role"] = RoleSync
	config.MinConns, config.MaxConns = 0, 2
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	return pool, nil
}

func migrateTables(ctx context.Context, pool *pgxpool.Pool) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName(Internal+".goose_db_version"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		var partial *goose.PartialError
		if errors.As(err, &partial) {
			return fmt.Errorf("migration %s: %w", partial.Failed.Source.Path, partial.Err)
		}
		return fmt.Errorf("migrating: %w", err)
	}
	return nil
}

// migrateQueue makes the tables of the job queue (River) beside pghub's own.
func migrateQueue(ctx context.Context, pool *pgxpool.Pool) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: Internal, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("reading the job queue's migrations: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrating the job queue: %w", err)
	}
	return nil
}

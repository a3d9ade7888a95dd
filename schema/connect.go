package schema

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// poolSize is the least number of connections of a pool whose URL does not say pool_max_conns: the job queue, several
// collections at once, the ledger and status queries share it.
const poolSize = 12

// Connect opens a pool whose sessions run as RoleSync, which owns the mirror. The login role of the URL must be a
// superuser or a member of RoleSync (Migrate sees to that). One connection is tried at once, so that a wrong URL, a
// server that is down or a database without migrations shows here. Close the pool when done.
func Connect(ctx context.Context, databaseURL string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("reading the database URL: %w", err)
	}
	if !strings.Contains(databaseURL, "pool_max_conns") {
		config.MaxConns = max(config.MaxConns, poolSize)
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "pghub"
	}
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "SET ROLE "+RoleSync); err != nil {
			return becomeSyncError(err)
		}
		// Payloads are compressed while they are loaded: lz4 takes a tenth of pglz's time. Not every server is built with it.
		_, err := conn.Exec(ctx, "SET default_toast_compression = lz4")
		var pg *pgconn.PgError
		if err != nil && !(errors.As(err, &pg) && pg.Code == "22023") { // invalid_parameter_value
			return fmt.Errorf("choosing the compression: %w", err)
		}
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	var migrated bool
	err = pool.QueryRow(ctx, `SELECT to_regclass('github.issue') IS NOT NULL`).Scan(&migrated)
	if err == nil && !migrated {
		err = fmt.Errorf("database %q has no tables of pghub; run pghub migrate first", config.ConnConfig.Database)
	}
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	return pool, nil
}

// becomeSyncError adds to a failed SET ROLE what the user can do about it.
func becomeSyncError(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "22023", "42704": // invalid_parameter_value (the role does not exist), undefined_object
			return fmt.Errorf("role %s does not exist; run pghub migrate first: %w", RoleSync, err)
		case "42501":
			return fmt.Errorf("the database user may not act as %s; an administrator can GRANT %s to it: %w", RoleSync, RoleSync, err)
		}
	}
	return fmt.Errorf("becoming %s: %w", RoleSync, err)
}

package doctor

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pghub/pghub/schema"
)

// connectTimeout bounds the connection to the database.
const connectTimeout = 15 * time.Second

// Database checks the database that url names: reachable, new enough, migrated,
// its triggers and privileges as the migrations left them.
func Database(ctx context.Context, url string, r *Report) {
	const what = "database"
	config, err := pgx.ParseConfig(url)
	if err != nil {
		// The library's message may quote a password where it is not recognised.
		r.fail(what, "give database-url as postgres://user:password@host:5432/pghub", "the URL is not a Postgres connection URL")
		return
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "pghub doctor"
	}
	try, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(try, config)
	if err != nil {
		r.fail(what, connectFix(err), "cannot connect to %s: %v", address(config), err)
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if !server(ctx, conn, r) || !role(ctx, conn, r) {
		return
	}
	if migrated(ctx, conn, r) {
		triggers(ctx, conn, r)
		privileges(ctx, conn, r)
	}
}

func address(c *pgx.ConnConfig) string {
	return net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))) + "/" + c.Database
}

// connectFix tells what to do about a failed connection.
//
// https://www.postgresql.org/docs/current/errcodes-appendix.html
func connectFix(err error) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return "start the server, or correct host and port in database-url"
	}
	switch pg.Code {
	case "28P01", "28000":
		return "correct user and password in database-url, or the server's pg_hba.conf"
	case "3D000":
		return "create the database (CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0), then run pghub migrate"
	case "53300":
		return "raise max_connections on the server, or end sessions that are not needed"
	}
	return "see the server's log"
}

func server(ctx context.Context, conn *pgx.Conn, r *Report) bool {
	const what, oldest = "server", 150000
	var number int
	var version, encoding string
	var standby bool
	err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_setting('server_encoding'), pg_is_in_recovery()`).
		Scan(&number, &version, &encoding, &standby)
	switch {
	case err != nil:
		r.fail(what, "see the server's log", "asking for its version: %v", err)
	case number < oldest:
		r.fail(what, "use PostgreSQL 15 or newer, or leave database-url empty for the embedded one", "it is PostgreSQL %s", version)
	case encoding != "UTF8":
		r.fail(what, "make a database by CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0", "the database is encoded in %s", encoding)
	case standby:
		r.fail(what, "connect to the primary", "it is a standby, which cannot be written to")
	default:
		r.ok(what, "PostgreSQL %s at %s", version, address(conn.Config()))
		return true
	}
	return false
}

// role becomes the owner of the mirror for the rest of the checks.
func role(ctx context.Context, conn *pgx.Conn, r *Report) bool {
	const what = "role"
	_, err := conn.Exec(ctx, "SET ROLE "+schema.RoleSync)
	user := conn.Config().User
	var pg *pgconn.PgError
	switch {
	case err == nil:
		r.ok(what, "%s may act as %s", user, schema.RoleSync)
		return true
	case errors.As(err, &pg) && (pg.Code == "22023" || pg.Code == "42704"):
		r.fail(what, "run pghub migrate", "there is no role %s: the database was never migrated", schema.RoleSync)
	case errors.As(err, &pg) && pg.Code == "42501":
		r.fail(what, "as an administrator: GRANT "+schema.RoleSync+" TO "+pgx.Identifier{user}.Sanitize(), "%s may not act as %s", user, schema.RoleSync)
	default:
		r.fail(what, "see the server's log", "becoming %s: %v", schema.RoleSync, err)
	}
	return false
}

func migrated(ctx context.Context, conn *pgx.Conn, r *Report) bool {
	const what = "migrations"
	pending, unknown, err := schema.Migrations(ctx, conn)
	switch {
	case err != nil:
		r.fail(what, "see the server's log", "%v", err)
	case len(unknown) > 0:
		r.fail(what, "use the pghub that migrated this database, or a newer one", "the database is newer than this program: %s", strings.Join(unknown, ", "))
	case len(pending) > 0:
		r.fail(what, "run pghub migrate (pghub serve does it by itself)", "not yet run: %s", strings.Join(pending, ", "))
	default:
		r.ok(what, "all have run")
		return true
	}
	return false
}

package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// roleAttempts bounds the repetition of role changes. Roles belong to the whole cluster while the migration lock holds
// for one database, so two migrations may change one role at once; Postgres lets one of them fail.
const roleAttempts = 20

// standing is what the connecting user is and may do.
type standing struct {
	user                                      string
	database                                  string
	super, createRole, createSchema, giveTemp bool
	roles, schemas                            []string // which of ours exist
	foreign                                   []string // schemas of our names that somebody else owns
	sync                                      bool     // may SET ROLE pghub_sync
}

// prepare makes what the connecting user has to make: the roles, and the two schemas owned by pghub_sync.
func prepare(ctx context.Context, conn *pgx.Conn) error {
	for attempt := 1; ; attempt++ {
		err := prepareOnce(ctx, conn)
		if err == nil || attempt == roleAttempts || !concurrentChange(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("creating the roles: %w", ctx.Err())
		case <-time.After(time.Duration(attempt) * 5 * time.Millisecond):
		}
	}
}

func prepareOnce(ctx context.Context, conn *pgx.Conn) error {
	s, err := standingOf(ctx, conn)
	if err != nil {
		return err
	}
	if err := s.lacking(); err != nil {
		return err
	}
	for _, role := range []string{RoleSync, RoleReader, RoleWriter} {
		if slices.Contains(s.roles, role) {
			continue
		}
		if _, err := conn.Exec(ctx, "CREATE ROLE "+role+" NOLOGIN"); err != nil {
			return fmt.Errorf("creating role %s: %w", role, err)
		}
	}
	if !s.sync {
		if err := joinSync(ctx, conn, s); err != nil {
			return err
		}
	}
	for _, name := range []string{Name, Internal} {
		if slices.Contains(s.schemas, name) {
			continue
		}
		if _, err := conn.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+name+" AUTHORIZATION "+RoleSync); err != nil {
			return fmt.Errorf("creating schema %s: %w", name, err)
		}
	}
	return allowTemporary(ctx, conn, s)
}

func standingOf(ctx context.Context, conn *pgx.Conn) (standing, error) {
	var s standing
	err := conn.QueryRow(ctx, `
		SELECT current_user, current_database(), r.rolsuper, r.rolcreaterole,
		       has_database_privilege(current_database(), 'CREATE'),
		       has_database_privilege(current_database(), 'TEMP WITH GRANT OPTION'),
		       ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname = ANY ($1)),
		       ARRAY(SELECT nspname::text FROM pg_namespace WHERE nspname = ANY ($2)),
		       ARRAY(SELECT nspname::text FROM pg_namespace WHERE nspname = ANY ($2) AND pg_get_userbyid(nspowner) <> $3)
		FROM pg_roles r WHERE r.rolname = current_user`,
		[]string{RoleSync, RoleReader, RoleWriter}, []string{Name, Internal}, RoleSync).
		Scan(&s.user, &s.database, &s.super, &s.createRole, &s.createSchema, &s.giveTemp, &s.roles, &s.schemas, &s.foreign)
	if err != nil {
		return s, fmt.Errorf("asking what the database user may do: %w", err)
	}
	if slices.Contains(s.roles, RoleSync) {
		// Since PostgreSQL 16 being a member and being allowed to SET ROLE are two things.
		var version int
		if err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int`).Scan(&version); err != nil {
			return s, fmt.Errorf("asking the server for its version: %w", err)
		}
		privilege := "SET"
		if version < 160000 {
			privilege = "MEMBER"
		}
		if err := conn.QueryRow(ctx, `SELECT pg_has_role($1, $2)`, RoleSync, privilege).Scan(&s.sync); err != nil {
			return s, fmt.Errorf("asking whether the database user may act as %s: %w", RoleSync, err)
		}
	}
	return s, nil
}

// lacking returns one error that says everything the user needs, or nil.
func (s standing) lacking() error {
	if len(s.foreign) > 0 {
		return fmt.Errorf("database %q has a schema %q of its own; pghub needs that name: rename the schema, or give pghub another database", s.database, s.foreign[0])
	}
	user, database := pgx.Identifier{s.user}.Sanitize(), pgx.Identifier{s.database}.Sanitize()
	var grants []string
	if len(s.roles) < 3 && !s.createRole && !s.super {
		grants = append(grants, "ALTER ROLE "+user+" CREATEROLE")
	} else if !s.sync && !s.createRole && !s.super {
		grants = append(grants, "GRANT "+RoleSync+" TO "+user)
	}
	if len(s.schemas) < 2 && !s.createSchema {
		grants = append(grants, "GRANT CREATE ON DATABASE "+database+" TO "+user)
	}
	if len(grants) == 0 {
		return nil
	}
	return fmt.Errorf("the database user %s may not set pghub up; an administrator can allow it: %s;", user, strings.Join(grants, "; "))
}

// joinSync lets the connecting user act as pghub_sync. Since PostgreSQL 16 whoever creates a role may grant it, but is
// not yet allowed to become it.
func joinSync(ctx context.Context, conn *pgx.Conn, s standing) error {
	user := pgx.Identifier{s.user}.Sanitize()
	if _, err := conn.Exec(ctx, "GRANT "+RoleSync+" TO "+user); err != nil {
		var pg *pgconn.PgError
		if errors.As(err, &pg) && pg.Code == "42501" {
			return fmt.Errorf("the database user %s may not act as %s, which somebody else created; an administrator can allow it: GRANT %s TO %s; (%w)",
				user, RoleSync, RoleSync, user, err)
		}
		return fmt.Errorf("granting %s to %s: %w", RoleSync, user, err)
	}
	return nil
}

// allowTemporary sees that pghub_sync may make temporary tables, through which rows are loaded.
func allowTemporary(ctx context.Context, conn *pgx.Conn, s standing) error {
	var may bool
	if err := conn.QueryRow(ctx, `SELECT has_database_privilege($1, current_database(), 'TEMP')`, RoleSync).Scan(&may); err != nil {
		return fmt.Errorf("asking whether %s may make temporary tables: %w", RoleSync, err)
	}
	if may {
		return nil
	}
	database := pgx.Identifier{s.database}.Sanitize()
	if !s.giveTemp && !s.super {
		return fmt.Errorf("role %s may not make temporary tables; an administrator can allow it: GRANT TEMPORARY ON DATABASE %s TO %s;", RoleSync, database, RoleSync)
	}
	if _, err := conn.Exec(ctx, "GRANT TEMPORARY ON DATABASE "+database+" TO "+RoleSync); err != nil {
		return fmt.Errorf("letting %s make temporary tables: %w", RoleSync, err)
	}
	return nil
}

// concurrentChange tells errors that mean "somebody else did the same just now".
func concurrentChange(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "42710", "42P06", "23505", "40001", "40P01": // duplicate_object, duplicate_schema, unique_violation, serialization_failure, deadlock_detected
		return true
	case "XX000": // internal_error: a catalog row changed under us
		return strings.Contains(pg.Message, "tuple concurrently")
	}
	return false
}

package schema

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// Migrations compares a database with this program without changing it: pending are the migrations that Migrate would
// run, unknown those of a newer program. A database that was never migrated has all of them pending. The session must be
// able to read schema pghub, as pghub_sync can.
func Migrations(ctx context.Context, conn *pgx.Conn) (pending, unknown []string, err error) {
	files, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		return nil, nil, fmt.Errorf("reading the migrations: %w", err)
	}
	tables := map[int]string{}
	for _, f := range files {
		number, _, _ := strings.Cut(f.Name(), "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the migrations: %s has no number", f.Name())
		}
		tables[version] = strings.TrimSuffix(f.Name(), path.Ext(f.Name()))
	}
	queue := map[int]string{}
	migrator, err := rivermigrate.New(riverpgxv5.New(nil), &rivermigrate.Config{Schema: Internal})
	if err != nil {
		return nil, nil, fmt.Errorf("reading the job queue's migrations: %w", err)
	}
	for _, m := range migrator.AllVersions() {
		queue[m.Version] = fmt.Sprintf("job queue %d", m.Version)
	}
	for _, part := range []struct {
		known map[int]string
		name  string
		sql   string
	}{
		{tables, "migration", `SELECT version_id::int FROM pghub.goose_db_version WHERE is_applied AND version_id > 0`},
		{queue, "job queue", `SELECT version::int FROM pghub.river_migration WHERE line = 'main'`},
	} {
		applied, err := versions(ctx, conn, part.sql)
		if err != nil {
			return nil, nil, err
		}
		for version, name := range part.known {
			if !slices.Contains(applied, version) {
				pending = append(pending, name)
			}
		}
		for _, version := range applied {
			if _, ok := part.known[version]; !ok {
				unknown = append(unknown, fmt.Sprintf("%s %d", part.name, version))
			}
		}
	}
	slices.Sort(pending)
	slices.Sort(unknown)
	return pending, unknown, nil
}

// versions reads a table of applied migrations; there are none when there is no such table.
func versions(ctx context.Context, conn *pgx.Conn, sql string) ([]int, error) {
	rows, _ := conn.Query(ctx, sql) // its error comes with the rows
	list, err := pgx.CollectRows(rows, pgx.RowTo[int])
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3F000") { // undefined_table, invalid_schema_name
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading which migrations ran: %w", err)
	}
	return list, nil
}

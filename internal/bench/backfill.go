package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/schema"
)

// load is one way to get rows into Postgres, with the seconds that each round took.
type load struct {
	name    string
	seconds []float64
}

// benchBackfill fills empty mirrors from the simulated GitHub and, for comparison, copies the same rows into tables of
// the same form.
func benchBackfill(ctx context.Context, s *stand, p plan, out io.Writer) error {
	g, err := startGitHub(ctx, p.issues)
	if err != nil {
		return err
	}
	defer g.close()
	backfill, copied := load{name: "backfill by the syncer"}, load{name: "for comparison: COPY into tables with the same indexes"}
	var github []float64
	var rows map[string]int64
	var requests int64
	for round := range p.rounds {
		database := fmt.Sprintf("backfill_%d", round)
		if err := s.admin(ctx, "postgres", func(conn *pgx.Conn) error {
			return execAll(ctx, conn, "CREATE DATABASE "+pgx.Identifier{database}.Sanitize())
		}); err != nil {
			return err
		}
		if err := schema.Migrate(ctx, s.adminURL(database)); err != nil {
			return err
		}
		spent, count := g.spent.Load(), g.count.Load()
		elapsed, err := mirror(ctx, s.adminURL(database), g, s.log)
		if err != nil {
			return err
		}
		backfill.seconds = append(backfill.seconds, elapsed.Seconds())
		github = append(github, time.Duration(g.spent.Load()-spent).Seconds())
		requests = g.count.Load() - count
		if err := s.admin(ctx, database, func(conn *pgx.Conn) error {
			if rows, err = countRows(ctx, conn); err != nil {
				return err
			}
			took, err := copyAgain(ctx, conn)
			copied.seconds = append(copied.seconds, took.Seconds())
			return err
		}); err != nil {
			return fmt.Errorf("copying the same rows: %w", err)
		}
		if err := s.admin(ctx, "postgres", func(conn *pgx.Conn) error {
			return execAll(ctx, conn, "DROP DATABASE "+pgx.Identifier{database}.Sanitize()+" WITH (FORCE)")
		}); err != nil {
			return err
		}
	}
	if rows["issue"] < int64(p.issues)*9/10 || rows["issue_comment"] == 0 {
		return errors.New("the mirror is not complete")
	}
	total := int64(0)
	for _, n := range rows {
		total += n
	}
	tab := table{title: "First backfill", head: []string{"way", "seconds", "rows per second"}}
	for _, l := range []load{backfill, copied} {
		tab.add(l.name, number(median(l.seconds), 2), number(float64(total)/median(l.seconds), 0))
	}
	tab.notes = []string{fmt.Sprintf("%s rows: %s issues, %s comments, %s others; %s requests. The simulated GitHub shares the cores with the syncer and PostgreSQL and spends %s s in its handlers meanwhile. "+
		"With GitHub itself the hourly limit decides: 5,000 requests an hour are at most 500,000 rows.",
		number(float64(total), 0), number(float64(rows["issue"]), 0), number(float64(rows["issue_comment"]), 0), number(float64(total-rows["issue"]-rows["issue_comment"]), 0),
		number(float64(requests), 0), number(median(github), 1))}
	return tab.write(out)
}

func countRows(ctx context.Context, conn *pgx.Conn) (map[string]int64, error) {
	rows := map[string]int64{}
	for _, t := range schema.Tables {
		var n int64
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{schema.Name, t.Name}.Sanitize()).Scan(&n); err != nil {
			return nil, err
		}
		rows[t.Name] = n
	}
	return rows, nil
}

// copyAgain copies the mirrored tables out and times copying them into empty tables with the same indexes, one
// transaction each.
func copyAgain(ctx context.Context, conn *pgx.Conn) (time.Duration, error) {
	var took time.Duration
	for _, t := range schema.Tables {
		from, to := pgx.Identifier{schema.Name, t.Name}.Sanitize(), pgx.Identifier{"public", t.Name}.Sanitize()
		if err := execAll(ctx, conn, "CREATE TABLE "+to+" (LIKE "+from+" INCLUDING ALL)"); err != nil {
			return 0, err
		}
		var data bytes.Buffer
		if _, err := conn.PgConn().CopyTo(ctx, &data, "COPY "+from+" TO STDOUT (FORMAT binary)"); err != nil {
			return 0, err
		}
		began := time.Now()
		if _, err := conn.PgConn().CopyFrom(ctx, &data, "COPY "+to+" FROM STDIN (FORMAT binary)"); err != nil {
			return 0, err
		}
		took += time.Since(began)
	}
	return took, nil
}

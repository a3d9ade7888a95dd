package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/ghapi"
)

// write is one kind of write that is timed.
type write struct {
	name string
	rows int // per statement
	do   func(ctx context.Context, i int) error
	got  []timing
}

// timing is that of one statement, in milliseconds.
type timing struct {
	total, github float64
	requests      int64
}

// benchWrites times writes through the proxy and what of that GitHub takes, one statement at a time.
func benchWrites(ctx context.Context, s *stand, p plan, out io.Writer) (err error) {
	g, err := startGitHub(ctx, 2*p.rows+100)
	if err != nil {
		return err
	}
	defer g.close()
	if _, err := mirror(ctx, s.server.AdminURL(), g, s.log); err != nil {
		return fmt.Errorf("filling the mirror: %w", err)
	}
	proxied, err := startProxy(ctx, s, p, g)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, proxied.close()) }()
	kinds, closeAll, err := writeKinds(ctx, s, p, g, proxied.address)
	defer closeAll()
	if err != nil {
		return err
	}
	for round := range p.rounds {
		for i := range kinds {
			k := &kinds[i]
			n := p.writes
			if k.rows > 1 {
				n = max(n/k.rows, 4)
			}
			for j := range n {
				spent, count, began := g.spent.Load(), g.count.Load(), time.Now()
				if err := k.do(ctx, round*n+j); err != nil {
					return fmt.Errorf("%s: %w", k.name, err)
				}
				total := time.Since(began)
				k.got = append(k.got, timing{millis(total), millis(time.Duration(g.spent.Load() - spent)), g.count.Load() - count})
			}
		}
	}

	tab := table{title: "Write-through: milliseconds for one statement, commit included",
		head: []string{"statement", "median", "p99", "of that GitHub", "beyond GitHub: median", "p99", "requests per row"},
		notes: []string{fmt.Sprintf("One client, %d statements of a kind (%d of several rows), `--write-interval 0`. GitHub is the simulated one; its share is the time in its request handler, so that "+
			"\"beyond GitHub\" is everything else: SQL, ledger, two or more commits that reach the disk, HTTP over loopback.", len(kinds[0].got), max(p.writes/p.rows, 4)*p.rounds)}}
	for _, k := range kinds {
		var total, github, beyond []float64
		requests := 0.0
		for _, t := range k.got {
			total, github, beyond = append(total, t.total), append(github, t.github), append(beyond, t.total-t.github)
			requests += float64(t.requests)
		}
		tab.add(k.name, number(median(total), 2), number(percentile(total, 0.99), 2), number(median(github), 2), number(median(beyond), 2),
			number(percentile(beyond, 0.99), 2), number(requests/float64(len(k.got)*k.rows), 2))
	}
	return tab.write(out)
}

// writeKinds connects the clients and lists what they do. The ordinary table and GitHub's API alone are there for
// comparison.
func writeKinds(ctx context.Context, s *stand, p plan, g *github, proxy string) (_ []write, closeAll func(), err error) {
	var conns []*pgx.Conn
	closeAll = func() {
		for _, c := range conns {
			_ = c.Close(context.WithoutCancel(ctx))
		}
	}
	connect := func(address string, mode pgx.QueryExecMode) *pgx.Conn {
		cfg, parseErr := pgx.ParseConfig(s.clientURL(address))
		if parseErr != nil || err != nil {
			err = errors.Join(err, parseErr)
			return nil
		}
		cfg.DefaultQueryExecMode = mode
		conn, connectErr := pgx.ConnectConfig(ctx, cfg)
		if connectErr != nil {
			err = connectErr
			return nil
		}
		conns = append(conns, conn)
		return conn
	}
	extended := connect(proxy, pgx.QueryExecModeCacheStatement)
	simple := connect(proxy, pgx.QueryExecModeSimpleProtocol)
	direct := connect(s.direct(), pgx.QueryExecModeCacheStatement)
	if err != nil {
		return nil, closeAll, err
	}
	var repository int64
	var name string
	var ids, numbers []int64
	err = s.admin(ctx, "pghub", func(conn *pgx.Conn) error {
		if err := conn.QueryRow(ctx, "SELECT id, full_name FROM github.repository").Scan(&repository, &name); err != nil {
			return err
		}
		rows, err := conn.Query(ctx, "SELECT id, number FROM github.issue ORDER BY number")
		if err != nil {
			return err
		}
		var id, number int64
		if _, err := pgx.ForEachRow(rows, []any{&id, &number}, func() error {
			ids, numbers = append(ids, id), append(numbers, number)
			return nil
		}); err != nil {
			return err
		}
		return execAll(ctx, conn, "CREATE TABLE public.plain (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text)", "GRANT INSERT, UPDATE, SELECT ON public.plain TO "+clientRole)
	})
	if err != nil {
		return nil, closeAll, err
	}
	if len(ids) < 2*p.rows {
		return nil, closeAll, fmt.Errorf("only %d issues in the mirror", len(ids))
	}
	several, rest, restNumbers := ids[:p.rows], ids[p.rows:], numbers[p.rows:]
	api, err := ghapi.New(ghapi.Config{BaseURL: g.URL + "/", Token: g.Token(), Logger: s.log})
	if err != nil {
		return nil, closeAll, err
	}
	insert := func(conn *pgx.Conn) func(context.Context, int) error {
		return func(ctx context.Context, i int) error {
			var number int64
			return conn.QueryRow(ctx, "INSERT INTO issue (repository_id, title, body) VALUES ($1, $2, $3) RETURNING number", repository, fmt.Sprintf("Measured %d", i), "by make bench").Scan(&number)
		}
	}
	update := func(conn *pgx.Conn) func(context.Context, int) error {
		return func(ctx context.Context, i int) error {
			return affected(conn, 1)(ctx, "UPDATE issue SET title = $1 WHERE id = $2", fmt.Sprintf("Renamed %p %d", conn, i), rest[i%len(rest)])
		}
	}
	return []write{
		{name: "INSERT, extended protocol", rows: 1, do: insert(extended)},
		{name: "INSERT, simple protocol", rows: 1, do: insert(simple)},
		{name: "UPDATE by id, extended protocol", rows: 1, do: update(extended)},
		{name: "UPDATE by id, simple protocol", rows: 1, do: update(simple)},
		{name: fmt.Sprintf("UPDATE of %d rows", p.rows), rows: p.rows, do: func(ctx context.Context, i int) error {
			return affected(extended, int64(p.rows))(ctx, "UPDATE issue SET title = $1 WHERE id = ANY ($2)", fmt.Sprintf("Together %d", i), several)
		}},
		{name: "for comparison: PATCH by pghub's API client alone", rows: 1, do: func(ctx context.Context, i int) error {
			_, err := api.Do(ctx, ghapi.Request{Method: "PATCH", Path: fmt.Sprintf("repos/%s/issues/%d", name, restNumbers[i%len(rest)]), Body: map[string]string{"title": fmt.Sprintf("Direct %d", i)}, Priority: ghapi.Write})
			return err
		}},
		{name: "for comparison: INSERT into an ordinary table, through the proxy", rows: 1, do: func(ctx context.Context, i int) error {
			return affected(extended, 1)(ctx, "INSERT INTO public.plain (title) VALUES ($1)", "x")
		}},
		{name: "for comparison: the same, direct", rows: 1, do: func(ctx context.Context, i int) error {
			return affected(direct, 1)(ctx, "INSERT INTO public.plain (title) VALUES ($1)", "x")
		}},
	}, closeAll, nil
}

// affected runs statements that must change so many rows.
func affected(conn *pgx.Conn, want int64) func(ctx context.Context, sql string, args ...any) error {
	return func(ctx context.Context, sql string, args ...any) error {
		tag, err := conn.Exec(ctx, sql, args...)
		if err == nil && tag.RowsAffected() != want {
			err = fmt.Errorf("%s instead of %d rows", tag, want)
		}
		return err
	}
}

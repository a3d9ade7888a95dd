package proxy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/internal/contract"
	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/proxy"
	"github.com/pghub/pghub/schema"
	"github.com/pghub/pghub/writers"
)

func TestMain(m *testing.M) { os.Exit(embedpgtest.Main(m)) }

// bundle is a whole pghub without syncer: a database with the mirror of a
// simulated GitHub, and the proxy in front.
type bundle struct {
	t     *testing.T
	ctx   context.Context
	admin string // superuser's URL, past the proxy
	pool  *pgxpool.Pool
	sim   *githubsim.Server
	http  *httptest.Server
	api   *ghapi.Client // the writers'
	check *ghapi.Client // the test's own
	proxy *proxy.Proxy
	stop  func() // ends the proxy and waits
	repo  int64  // a repository with issues
	name  string // its full name
	// through, if set, names a detour to the server that the proxy takes.
	through func(databaseURL string) string
}

const appPassword = "app-password"

type option func(*githubsim.Config, *ghapi.Config)

func setup(t *testing.T, options ...option) *bundle {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	b := &bundle{t: t, ctx: ctx}
	b.admin = embedpgtest.Clone(t, "migrated", func(url string) error { return schema.Migrate(ctx, url) })
	b.adminExec(`DO $$ BEGIN CREATE ROLE app LOGIN PASSWORD '` + appPassword + `'; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`)
	b.adminExec(`DO $$ BEGIN GRANT pghub_reader, pghub_writer TO app; EXCEPTION WHEN OTHERS THEN
		IF SQLERRM NOT LIKE 'tuple concurrently updated%' THEN RAISE; END IF; END $$`)
	b.adminExec(`DO $$ BEGIN EXECUTE format('ALTER ROLE app IN DATABASE %I SET search_path = github, public', current_database()); 
		EXECUTE format('GRANT CREATE, TEMP ON DATABASE %I TO app', current_database()); END $$`)
	b.adminExec(`GRANT CREATE ON SCHEMA public TO app`)

	simConfig := githubsim.Config{Seed: 7, Repos: 1, Issues: 30}
	apiConfig := ghapi.Config{WriteInterval: 0, MaxWait: 5 * time.Second}
	for _, o := range options {
		o(&simConfig, &apiConfig)
	}
	b.sim = githubsim.New(simConfig)
	b.http = httptest.NewServer(b.sim)
	t.Cleanup(func() { b.http.Close(); b.sim.Close() })
	apiConfig.BaseURL = b.http.URL + "/"
	if apiConfig.Token == "" {
		apiConfig.Token = b.sim.Token()
	}
	var err error
	apiConfig.Transport = contract.Transport(t, apiConfig.Transport)
	if b.api, err = ghapi.New(apiConfig); err != nil {
		t.Fatal(err)
	}
	if b.check, err = ghapi.New(ghapi.Config{BaseURL: b.http.URL + "/", Token: b.sim.Token()}); err != nil {
		t.Fatal(err)
	}
	if b.pool, err = schema.Connect(ctx, b.admin); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.pool.Close)
	b.seed()
	b.start()
	b.sim.ResetRequests()
	return b
}

// start runs the proxy; it ends with the test or by stop.
func (b *bundle) start() {
	b.t.Helper()
	database := b.admin
	if b.through != nil {
		database = b.through(database)
	}
	w := writers.New(b.api, proxy.Mirror{Pool: b.pool}, writers.WithSettle(20*time.Millisecond, 50*time.Millisecond))
	p, err := proxy.New(b.ctx, proxy.Config{Listen: "127.0.0.1:0", DatabaseURL: database, Pool: b.pool, Writer: w})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx) }()
	b.proxy = p
	stopped := false
	b.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				b.t.Errorf("Serve: %v", err)
			}
		case <-time.After(30 * time.Second):
			b.t.Error("the proxy did not stop within 30 s")
		}
	}
	b.t.Cleanup(b.stop)
}

func (b *bundle) adminExec(sql string, args ...any) {
	b.t.Helper()
	conn, err := pgx.Connect(b.ctx, b.admin)
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close(b.ctx)
	if _, err := conn.Exec(b.ctx, sql, args...); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

// seed copies the simulated GitHub into the mirror.
func (b *bundle) seed() {
	b.t.Helper()
	store := func(t *schema.Table, path string, scope schema.Scope) (raws []json.RawMessage) {
		err := b.check.Pages(b.ctx, ghapi.Request{Path: path, Query: url.Values{"per_page": {"100"}, "state": {"all"}}}, func(r *ghapi.Response) error {
			var page []json.RawMessage
			if err := json.Unmarshal(r.Body, &page); err != nil {
				return err
			}
			var rows []schema.Row
			for _, raw := range page {
				if t == schema.Issue && strings.Contains(string(raw), `"pull_request":`) {
					continue
				}
				got, err := t.Rows(raw, scope)
				if err != nil {
					return err
				}
				rows = append(rows, got...)
				raws = append(raws, raw)
			}
			return pgx.BeginFunc(b.ctx, b.pool, func(tx pgx.Tx) error {
				_, err := schema.Upsert(b.ctx, tx, rows, r.StartedAt)
				return err
			})
		})
		if err != nil {
			b.t.Fatalf("seeding %s: %v", path, err)
		}
		return raws
	}
	for _, raw := range store(schema.Repository, "user/repos", schema.Scope{}) {
		var repo struct {
			ID   int64  `json:"id"`
			Name string `json:"full_name"`
		}
		if err := json.Unmarshal(raw, &repo); err != nil {
			b.t.Fatal(err)
		}
		scope := schema.Scope{RepositoryID: repo.ID}
		store(schema.Label, "repos/"+repo.Name+"/labels", scope)
		store(schema.Milestone, "repos/"+repo.Name+"/milestones", scope)
		store(schema.Issue, "repos/"+repo.Name+"/issues", scope)
		store(schema.IssueComment, "repos/"+repo.Name+"/issues/comments", scope)
		b.repo, b.name = repo.ID, repo.Name
	}
}

// dsn is the URL of a client that goes through the proxy.
func (b *bundle) dsn() string { return b.dsnAs("app", appPassword) }

func (b *bundle) dsnAs(user, password string) string {
	host, port, _ := net.SplitHostPort(b.proxy.Addr().String())
	config, err := pgconn.ParseConfig(b.admin)
	if err != nil {
		b.t.Fatal(err)
	}
	return fmt.Sprintf("postgres://%s:%s@%s:%s/%s?sslmode=prefer", user, password, host, port, config.Database)
}

// connect opens a client session through the proxy; notices go to the returned slice.
func (b *bundle) connect(mode pgx.QueryExecMode) (*pgx.Conn, *notices) {
	b.t.Helper()
	return b.connectAs(b.dsn(), mode)
}

type notices struct{ all []*pgconn.Notice }

func (n *notices) has(code, text string) bool {
	return slices.ContainsFunc(n.all, func(p *pgconn.Notice) bool {
		return p.Code == code && strings.Contains(p.Message+" "+p.Detail, text)
	})
}

func (b *bundle) connectAs(dsn string, mode pgx.QueryExecMode) (*pgx.Conn, *notices) {
	b.t.Helper()
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		b.t.Fatal(err)
	}
	config.DefaultQueryExecMode = mode
	got := &notices{}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { got.all = append(got.all, n) }
	conn, err := pgx.ConnectConfig(b.ctx, config)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close(context.WithoutCancel(b.ctx)) })
	return conn, got
}

// issue is what GitHub holds of an issue; nil when it has none by that number.
func (b *bundle) issue(number int64) map[string]any {
	b.t.Helper()
	r, err := b.check.Do(b.ctx, ghapi.Request{Path: fmt.Sprintf("repos/%s/issues/%d", b.name, number)})
	if class := ghapi.ClassOf(err); class == ghapi.ClassNotFound || class == ghapi.ClassGone {
		return nil
	}
	if err != nil {
		b.t.Fatal(err)
	}
	var issue map[string]any
	if err := json.Unmarshal(r.Body, &issue); err != nil {
		b.t.Fatal(err)
	}
	return issue
}

// drift lists the issues in which the mirror differs from GitHub.
func (b *bundle) drift() (diffs []string) {
	b.t.Helper()
	seen := []int64{}
	err := b.check.Pages(b.ctx, ghapi.Request{Path: "repos/" + b.name + "/issues", Query: url.Values{"per_page": {"100"}, "state": {"all"}}}, func(r *ghapi.Response) error {
		var page []json.RawMessage
		if err := json.Unmarshal(r.Body, &page); err != nil {
			return err
		}
		for _, raw := range page {
			if strings.Contains(string(raw), `"pull_request":`) {
				continue
			}
			row, err := schema.Issue.Decode(raw, schema.Scope{RepositoryID: b.repo})
			if err != nil {
				return err
			}
			want, err := row.JSON()
			if err != nil {
				return err
			}
			seen = append(seen, row.ID())
			var diff string
			err = b.pool.QueryRow(b.ctx, `
				SELECT coalesce(string_agg(w.key || ': GitHub ' || w.value || ', mirror ' || coalesce(m.value::text, 'nothing'), '; '), '')
				FROM jsonb_each(to_jsonb(jsonb_populate_record(NULL::github.issue, $2)) - 'synced_at' - 'payload') w
				LEFT JOIN (SELECT e.key, e.value FROM github.issue i, jsonb_each(to_jsonb(i)) e WHERE i.id = $1) m USING (key)
				WHERE w.value IS DISTINCT FROM m.value`, row.ID(), json.RawMessage(want)).Scan(&diff)
			if err != nil {
				return err
			}
			if diff != "" {
				diffs = append(diffs, fmt.Sprintf("issue %v: %s", row.Get("number"), diff))
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	rows, err := b.pool.Query(b.ctx, `SELECT format('issue %s is not on GitHub', number) FROM github.issue WHERE repository_id = $1 AND NOT id = ANY($2)`, b.repo, seen)
	if err != nil {
		b.t.Fatal(err)
	}
	gone, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		b.t.Fatal(err)
	}
	return append(diffs, gone...)
}

// settled waits until the ledger has no open entry, at most 5 s, and then
// requires that the mirror equals GitHub.
func (b *bundle) settled() {
	b.t.Helper()
	b.eventually("the ledger has no open entry", func() bool {
		var open int
		if err := b.pool.QueryRow(b.ctx, `SELECT count(*) FROM pghub.write WHERE closed_at IS NULL`).Scan(&open); err != nil {
			b.t.Fatal(err)
		}
		return open == 0
	})
	for _, diff := range b.drift() {
		b.t.Errorf("the mirror differs from GitHub: %s", diff)
	}
}

func (b *bundle) eventually(what string, holds func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			b.t.Fatalf("after 5 s it is still not so that %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// mutations counts the requests that change something on GitHub.
func (b *bundle) mutations() int {
	n := 0
	for _, r := range b.sim.Requests() {
		if r.Method != "GET" && r.Method != "HEAD" {
			n++
		}
	}
	return n
}

// number returns the numbers of n issues in the mirror that are open and not locked.
func (b *bundle) numbers(n int) []int64 {
	b.t.Helper()
	rows, err := b.pool.Query(b.ctx, `SELECT number FROM github.issue WHERE repository_id = $1 AND state = 'open' AND NOT locked ORDER BY number LIMIT $2`, b.repo, n)
	if err != nil {
		b.t.Fatal(err)
	}
	numbers, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		b.t.Fatal(err)
	}
	if len(numbers) < n {
		b.t.Fatalf("the seed has %d open issues, the test needs %d", len(numbers), n)
	}
	return numbers
}

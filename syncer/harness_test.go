package syncer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/internal/contract"
	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/internal/githubsim"
	"github.com/pghub/pghub/schema"
)

func TestMain(m *testing.M) { os.Exit(embedpgtest.Main(m)) }

// patienceOfTests is how long a test waits for something that must happen.
const patienceOfTests = time.Minute

// bundle is one database and one simulated GitHub.
type bundle struct {
	t    *testing.T
	ctx  context.Context
	pool *pgxpool.Pool
	sim  *githubsim.Server
	url  string
	// truth reads the simulator for comparison, past faults and limits of the
	// syncer's own client.
	truth *ghapi.Client
	log   *slog.Logger
}

func setup(t *testing.T, cfg githubsim.Config) *bundle {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 6*patienceOfTests)
	t.Cleanup(cancel)
	b := &bundle{t: t, ctx: ctx, log: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))}

	database := embedpgtest.URL(t)
	if err := schema.Migrate(ctx, database); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.pool, err = schema.Connect(ctx, database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.pool.Close)

	if cfg.PrimaryLimit == 0 {
		cfg.PrimaryLimit = 1_000_000 // comparing asks for everything again and again
	}
	b.sim = githubsim.New(cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.url = "http://" + l.Addr().String()
	serve, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.sim.Serve(serve, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	b.truth = b.client(ghapi.Config{})
	return b
}

// client makes a client of the simulator that is not slowed down.
func (b *bundle) client(cfg ghapi.Config) *ghapi.Client {
	b.t.Helper()
	cfg.BaseURL, cfg.Token, cfg.PointsPerMinute = b.url, b.sim.Token(), -1
	cfg.RetryDelay, cfg.Logger = 2*time.Millisecond, b.log
	cfg.Transport = contract.Transport(b.t, cfg.Transport)
	c, err := ghapi.New(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func testTuning() tuning {
	tune := defaultTuning()
	tune.settle = time.Millisecond
	tune.upkeep = 200 * time.Millisecond
	tune.testOnly = true
	return tune
}

// running is a syncer at work.
type running struct {
	*Syncer
	b    *bundle
	stop func()
	sink *steps
}

type options struct {
	repos  []string
	api    ghapi.Config
	every  time.Duration
	tune   func(*tuning)
	onStep func(Progress)
}

// start runs a syncer until stop or the end of the test.
func (b *bundle) start(o options) *running {
	b.t.Helper()
	tune := testTuning()
	if o.tune != nil {
		o.tune(&tune)
	}
	if o.every == 0 {
		o.every = 50 * time.Millisecond
	}
	sink := &steps{on: o.onStep}
	s, err := newSyncer(Config{
		Pool: b.pool, API: b.client(o.api), Repos: o.repos, PollInterval: o.every, Logger: b.log, Progress: sink,
	}, tune)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("Run: %v", err)
		}
	})
	b.t.Cleanup(stop)
	return &running{Syncer: s, b: b, stop: stop, sink: sink}
}

// steps remembers what a syncer reported.
type steps struct {
	mu  sync.Mutex
	all []Progress
	on  func(Progress)
}

func (s *steps) Progress(p Progress) {
	s.mu.Lock()
	s.all = append(s.all, p)
	s.mu.Unlock()
	if s.on != nil {
		s.on(p)
	}
}

func (s *steps) list() []Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// eventually waits until check returns "", and fails with its last answer.
func (b *bundle) eventually(what string, check func() string) {
	b.t.Helper()
	deadline := time.NewTimer(patienceOfTests)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		last := check()
		if last == "" {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			b.t.Fatalf("%s: %s", what, last)
		case <-b.ctx.Done():
			b.t.Fatalf("%s: %s", what, last)
		}
	}
}

// in is the bundle for a subtest.
func (b *bundle) in(t *testing.T) *bundle {
	sub := *b
	sub.t = t
	return &sub
}

func (b *bundle) ready() {
	b.t.Helper()
	b.eventually("the first backfill is complete", func() string {
		ok, list, err := Ready(b.ctx, b.pool)
		if err != nil || !ok {
			return fmt.Sprintf("%v %+v", err, list)
		}
		return ""
	})
}

func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.pool.Exec(b.ctx, sql, args...); err != nil {
		b.t.Fatal(err)
	}
}

func scan[T any](b *bundle, sql string, args ...any) T {
	b.t.Helper()
	rows, err := b.pool.Query(b.ctx, sql, args...)
	if err != nil {
		b.t.Fatal(err)
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// call asks the simulator as its first user and decodes the answer.
func (b *bundle) call(method, path string, body any) map[string]any {
	b.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		b.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(b.ctx, method, b.url+"/"+path, bytes.NewReader(raw))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.sim.Token())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		b.t.Fatalf("%s %s: %s %v %s", method, path, resp.Status, err, answer)
	}
	var o map[string]any
	_ = json.Unmarshal(answer, &o) // lists and empty answers are not looked at
	return o
}

// repos are the names of all repositories, oldest first.
func (b *bundle) repos() []string {
	b.t.Helper()
	var names []string
	for _, raw := range b.all("user/repos", url.Values{"sort": {"created"}, "direction": {"asc"}}) {
		var o struct {
			FullName string `json:"full_name"`
		}
		if err := json.Unmarshal(raw, &o); err != nil {
			b.t.Fatal(err)
		}
		names = append(names, o.FullName)
	}
	return names
}

func (b *bundle) all(path string, q url.Values) []json.RawMessage {
	b.t.Helper()
	q = maps.Clone(q)
	if q == nil {
		q = url.Values{}
	}
	q.Set("per_page", "100")
	var list []json.RawMessage
	err := b.truth.Pages(b.ctx, ghapi.Request{Path: path, Query: q}, func(r *ghapi.Response) error {
		var items []json.RawMessage
		err := r.Decode(&items)
		list = append(list, items...)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

// want is what the mirror must hold of one repository: GitHub's objects, read
// from the simulator and decoded by the schema.
func (b *bundle) want(name string) (id int64, rows map[*schema.Table]map[int64]schema.Row) {
	b.t.Helper()
	rows = map[*schema.Table]map[int64]schema.Row{}
	for _, t := range schema.Tables {
		rows[t] = map[int64]schema.Row{}
	}
	add := func(t *schema.Table, raw json.RawMessage) {
		list, err := t.Rows(raw, schema.Scope{RepositoryID: id})
		if err != nil {
			b.t.Fatal(err)
		}
		own := list[len(list)-1]
		rows[t][own.ID()] = own
		for _, r := range list[:len(list)-1] {
			if r.Table == schema.Account {
				rows[r.Table][r.ID()] = r
			}
		}
	}
	resp, err := b.truth.Do(b.ctx, ghapi.Request{Path: "repos/" + name})
	if err != nil {
		b.t.Fatal(err)
	}
	var o object
	if err := resp.Decode(&o); err != nil {
		b.t.Fatal(err)
	}
	id = o.ID
	add(schema.Repository, resp.Body)
	at := repositoryPath(id) + "/"
	for _, raw := range b.all(at+"labels", nil) {
		add(schema.Label, raw)
	}
	for _, raw := range b.all(at+"milestones", url.Values{"state": {"all"}}) {
		add(schema.Milestone, raw)
	}
	for _, raw := range b.all(at+"issues", url.Values{"state": {"all"}}) {
		var pull struct {
			PullRequest json.RawMessage `json:"pull_request"`
		}
		if err := json.Unmarshal(raw, &pull); err != nil {
			b.t.Fatal(err)
		}
		if pull.PullRequest == nil {
			add(schema.Issue, raw)
		}
	}
	for _, raw := range b.all(at+"issues/comments", nil) {
		add(schema.IssueComment, raw)
	}
	return id, rows
}

// different compares the mirror with GitHub row by row and column by column,
// and returns the first differences, "" when there are none.
func (b *bundle) different(name string) string {
	b.t.Helper()
	id, want := b.want(name)
	var diffs []string
	for _, t := range schema.Tables {
		list := []json.RawMessage{}
		for _, r := range want[t] {
			raw, err := r.JSON()
			if err != nil {
				b.t.Fatal(err)
			}
			list = append(list, raw)
		}
		// Postgres itself brings both sides into one form.
		where := "m.repository_id = $2"
		switch t {
		case schema.Account:
			where = "w IS NOT NULL AND $2::bigint <> 0" // accounts of other repositories are no surplus
		case schema.Repository:
			where = "m.id = $2"
		}
		table := pgx.Identifier{schema.Name, t.Name}.Sanitize()
		raws, err := json.Marshal(list)
		if err != nil {
			b.t.Fatal(err)
		}
		rows, err := b.pool.Query(b.ctx, fmt.Sprintf(`
SELECT coalesce(m.id, (w ->> 'id')::bigint), w, to_jsonb(m), to_jsonb(jsonb_populate_record(NULL::%[1]s, w))
  FROM jsonb_array_elements($1) w
  FULL JOIN %[1]s m ON m.id = (w ->> 'id')::bigint
 WHERE w IS NOT NULL OR %[2]s
 ORDER BY 1`, table, where), raws, id)
		if err != nil {
			b.t.Fatal(err)
		}
		var key int64
		var known, have, normal map[string]any
		_, err = pgx.ForEachRow(rows, []any{&key, &known, &have, &normal}, func() error {
			defer func() { known, have, normal = nil, nil, nil }()
			switch {
			case have == nil:
				diffs = append(diffs, fmt.Sprintf("%s %d is missing", t.Name, key))
				return nil
			case known == nil:
				diffs = append(diffs, fmt.Sprintf("%s %d is not at GitHub", t.Name, key))
				return nil
			}
			for column := range known {
				// One account's object is longer or shorter depending on where
				// it appears; its columns are compared, the rest is not.
				if column == "payload" && (t == schema.Account || t == schema.Repository) || column == "issue_id" {
					continue
				}
				if column == "payload" {
					diffs = append(diffs, payloadDiffs(t, key, have[column].(map[string]any), normal[column].(map[string]any))...)
				} else if !reflect.DeepEqual(have[column], normal[column]) {
					diffs = append(diffs, fmt.Sprintf("%s %d: %s is %v, GitHub has %v", t.Name, key, column, have[column], normal[column]))
				}
			}
			return nil
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
	loose := scan[int64](b, `
SELECT count(*) FROM github.issue_comment c LEFT JOIN github.issue i ON i.repository_id = c.repository_id AND i.number = c.issue_number
 WHERE c.repository_id = $1 AND c.issue_id IS DISTINCT FROM i.id`, id)
	if loose > 0 {
		diffs = append(diffs, fmt.Sprintf("%d comments do not refer to their issue", loose))
	}
	if len(diffs) > 8 {
		diffs = append(diffs[:8], fmt.Sprintf("... %d differences", len(diffs)))
	}
	return strings.Join(diffs, "\n")
}

// payloadDiffs compares payloads field by field. What GitHub copies into an
// issue from elsewhere (a milestone's counts, a label's colour) changes without
// touching the issue; such copies are compared by id and name, the tables of
// those objects by everything.
func payloadDiffs(t *schema.Table, key int64, have, want map[string]any) (diffs []string) {
	for field, w := range want {
		h := have[field]
		if t == schema.Issue && (field == "milestone" || field == "labels") {
			h, w = idsAndNames(h), idsAndNames(w)
		}
		if !reflect.DeepEqual(h, w) {
			diffs = append(diffs, fmt.Sprintf("%s %d: %s of the payload is %v, GitHub has %v", t.Name, key, field, h, w))
		}
	}
	return diffs
}

func idsAndNames(v any) any {
	switch v := v.(type) {
	case []any:
		var list []any
		for _, o := range v {
			list = append(list, idsAndNames(o))
		}
		return list
	case map[string]any:
		return []any{v["id"], v["name"]}
	}
	return v
}

// same waits until the mirror equals GitHub in the given repositories.
func (b *bundle) same(names ...string) {
	b.t.Helper()
	b.eventually("the mirror equals GitHub", func() string {
		var diffs []string
		for _, name := range names {
			if d := b.different(name); d != "" {
				diffs = append(diffs, d)
			}
		}
		return strings.Join(diffs, "\n")
	})
}

// testWriter sends log lines to the test's log while it runs.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

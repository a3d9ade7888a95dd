package contract_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/internal/contract"
	"github.com/pghub/pghub/internal/embedpg/embedpgtest"
	"github.com/pghub/pghub/schema"
	"github.com/pghub/pghub/syncer"
)

// mirrored are the kinds of events whose objects the mirror holds, and where
// their payloads have them.
var mirrored = map[string]struct {
	table  *schema.Table
	member string
}{
	"issues":        {schema.Issue, "issue"},
	"issue_comment": {schema.IssueComment, "comment"},
	"label":         {schema.Label, "label"},
	"milestone":     {schema.Milestone, "milestone"},
	"repository":    {schema.Repository, "repository"},
}

// example is one payload that GitHub published.
type example struct {
	event, action string
	payload       []byte
}

func (e example) String() string { return e.event + " " + e.action }

func examples(t *testing.T) []example {
	t.Helper()
	contract.Need(t)
	raw, err := contract.ExamplesFile.Read()
	if err != nil {
		t.Fatal(err)
	}
	var events []struct {
		Name     string            `json:"name"`
		Examples []json.RawMessage `json:"examples"`
	}
	decode(t, raw, &events)
	var all []example
	for _, e := range events {
		for _, payload := range e.Examples {
			var with struct{ Action string }
			decode(t, payload, &with)
			all = append(all, example{e.Name, with.Action, payload})
		}
	}
	return all
}

func database(t *testing.T) *pgxpool.Pool {
	t.Helper()
	url := embedpgtest.URL(t)
	if err := schema.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	pool, err := schema.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func store(t *testing.T, pool *pgxpool.Pool, rows []schema.Row, at time.Time) schema.UpsertResult {
	t.Helper()
	var result schema.UpsertResult
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) (err error) {
		result, err = schema.Upsert(t.Context(), tx, rows, at)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// follow has the mirror hold every repository that the examples are about.
func follow(t *testing.T, pool *pgxpool.Pool, all []example) {
	t.Helper()
	done := map[int64]bool{}
	for _, e := range all {
		var with struct{ Repository json.RawMessage }
		decode(t, e.payload, &with)
		var named struct {
			ID       int64
			FullName string `json:"full_name"`
			NodeID   string `json:"node_id"`
			Owner    struct {
				ID     int64
				NodeID string `json:"node_id"`
			}
		}
		if with.Repository == nil || json.Unmarshal(with.Repository, &named) != nil || named.Owner.NodeID == "" || done[named.ID] {
			continue
		}
		// As it was before all of them.
		var older map[string]json.RawMessage
		decode(t, with.Repository, &older)
		older["updated_at"] = json.RawMessage(`"2001-01-01T00:00:00Z"`)
		raw, err := json.Marshal(older)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := schema.Repository.Rows(raw, schema.Scope{})
		if err != nil {
			t.Logf("repository %s of %s is no full object: %v", named.FullName, e, err)
			continue
		}
		done[named.ID] = true
		if _, err := pool.Exec(t.Context(), `INSERT INTO pghub.followed (name, repository_id, named) VALUES ($1, $2, false)`, named.FullName, named.ID); err != nil {
			t.Fatal(err)
		}
		store(t, pool, rows, time.Now().Add(-time.Hour))
	}
	if len(done) < 2 {
		t.Fatalf("the examples are about %d repositories", len(done))
	}
}

// TestExamplePayloads sends every payload that GitHub published through the
// webhook path, each into a mirror that holds the repositories and nothing else.
// Each must be applied to the rows it is about, or ignored with a reason.
func TestExamplePayloads(t *testing.T) {
	t.Parallel()
	all := examples(t)
	pool := database(t)
	follow(t, pool, all)
	applied, ignored, kinds := 0, 0, map[string]bool{}
	for _, e := range all {
		kinds[e.event] = true
		out, err := applyExample(t, pool, e)
		switch {
		case err != nil:
			t.Errorf("%s: %v", e, err)
		case out.Ignored != "":
			ignored++
			// GitHub tells of a pull request's milestones and comments by the same events.
			if _, ok := mirrored[e.event]; ok && !strings.Contains(out.Ignored, "is a pull request") {
				t.Errorf("%s was ignored: %s", e, out.Ignored)
			}
		default:
			applied++
			if len(out.Rows)+len(out.Queued) == 0 {
				t.Errorf("%s was applied to nothing", e)
			}
		}
	}
	fmt.Printf("contract: %d example payloads of %d kinds of events: %d applied, %d ignored with a reason\n", len(all), len(kinds), applied, ignored)
}

// TestExamplesOfOthers sends them to a mirror that holds none of the
// repositories: all are ignored, with a reason.
func TestExamplesOfOthers(t *testing.T) {
	t.Parallel()
	all := examples(t)
	pool := database(t)
	for _, e := range all {
		out, err := syncer.ApplyWebhook(t.Context(), pool, e.event, e.payload, time.Now())
		if err != nil {
			t.Errorf("%s: %v", e, err)
		} else if out.Applied() && e.event != "installation" && e.event != "installation_repositories" && e.event != "repository" {
			t.Errorf("%s was applied: %+v", e, out)
		}
	}
	var rows int64
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM github.issue`).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("%d issues came into a mirror that follows nothing: %v", rows, err)
	}
}

var errUndo = errors.New("undo")

// applyExample applies one payload, compares what it left, and undoes it.
func applyExample(t *testing.T, pool *pgxpool.Pool, e example) (out syncer.Outcome, err error) {
	t.Helper()
	ctx := t.Context()
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) (err error) {
		out, err = syncer.ApplyWebhook(ctx, tx, e.event, e.payload, time.Now())
		if err != nil {
			return err
		}
		if err := left(ctx, tx, e, out); err != nil {
			return err
		}
		// Again, as GitHub does on demand: no harm, the same rows.
		again, err := syncer.ApplyWebhook(ctx, tx, e.event, e.payload, time.Now())
		if err != nil {
			return fmt.Errorf("a second time: %w", err)
		}
		if again.Applied() && again.Changed > 0 && out.Changed == 0 {
			return fmt.Errorf("a second time it changed %d rows, the first time none", again.Changed)
		}
		return errUndo
	})
	if errors.Is(err, errUndo) {
		err = nil
	}
	return out, err
}

// left compares the rows that an event was applied to with its payload.
func left(ctx context.Context, tx pgx.Tx, e example, out syncer.Outcome) error {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(e.payload, &parts); err != nil {
		return err
	}
	found := len(out.Rows) == 0
	for _, r := range out.Rows {
		table := schema.ByName(r.Table)
		var at schema.Row
		if about, ok := mirrored[e.event]; ok && about.table == table && parts[about.member] != nil {
			its, err := table.Decode(parts[about.member], schema.Scope{RepositoryID: out.RepositoryID})
			if err != nil {
				return err
			}
			if its.ID() == r.ID { // a transfer is about two issues
				at, found = its, true
			}
		}
		var stored map[string]any
		name := pgx.Identifier{schema.Name, table.Name}.Sanitize()
		err := tx.QueryRow(ctx, `SELECT to_jsonb(m) FROM `+name+` m WHERE id = $1`, r.ID).Scan(&stored)
		gone := errors.Is(err, pgx.ErrNoRows)
		if err != nil && !gone {
			return err
		}
		switch r.Effect {
		case syncer.EffectDeleted:
			var tombstone bool
			if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pghub.tombstone WHERE table_name = $1 AND id = $2)`, table.Name, r.ID).Scan(&tombstone); err != nil {
				return err
			}
			if !gone || !tombstone {
				return fmt.Errorf("%s %d is still there, or left no tombstone", table.Name, r.ID)
			}
		case syncer.EffectMerged:
			if gone {
				return fmt.Errorf("%s %d was merged and is not there", table.Name, r.ID)
			}
			if at.Table == nil {
				continue
			}
			if err := holds(ctx, tx, at, stored); err != nil {
				return err
			}
		}
	}
	if _, ok := mirrored[e.event]; ok && !found {
		return fmt.Errorf("none of the rows %+v is the payload's", out.Rows)
	}
	return nil
}

// holds compares a stored row with a decoded one, column by column, in Postgres'
// own form.
func holds(ctx context.Context, tx pgx.Tx, want schema.Row, stored map[string]any) error {
	text, err := want.JSON()
	if err != nil {
		return err
	}
	var wanted map[string]any
	name := pgx.Identifier{schema.Name, want.Table.Name}.Sanitize()
	if err := tx.QueryRow(ctx, `SELECT to_jsonb(jsonb_populate_record(NULL::`+name+`, $1))`, json.RawMessage(text)).Scan(&wanted); err != nil {
		return err
	}
	var differ []string
	for _, c := range want.Table.Columns {
		// Accounts and repositories come in longer and shorter forms, which are
		// joined in the payload.
		if c.Name == "synced_at" || c.Name == "payload" || !want.Known(c.Name) {
			continue
		}
		if !reflect.DeepEqual(stored[c.Name], wanted[c.Name]) {
			differ = append(differ, fmt.Sprintf("%s is %v, GitHub says %v", c.Name, stored[c.Name], wanted[c.Name]))
		}
	}
	if len(differ) > 0 {
		slices.Sort(differ)
		return fmt.Errorf("%s %d: %s", want.Table.Name, want.ID(), differ)
	}
	return nil
}

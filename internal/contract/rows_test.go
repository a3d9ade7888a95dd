package contract_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/internal/contract"
	"github.com/pghub/pghub/schema"
)

// answers are the operations whose objects become rows.
var answers = []struct {
	operation string
	status    int
	table     *schema.Table
}{
	{"GET /user", 200, schema.Account},
	{"GET /users/{username}", 200, schema.Account},
	{"GET /repos/{owner}/{repo}/assignees", 200, schema.Account},
	{"GET /user/repos", 200, schema.Repository},
	{"GET /repos/{owner}/{repo}", 200, schema.Repository},
	{"GET /repos/{owner}/{repo}/labels", 200, schema.Label},
	{"POST /repos/{owner}/{repo}/labels", 201, schema.Label},
	{"GET /repos/{owner}/{repo}/labels/{name}", 200, schema.Label},
	{"PATCH /repos/{owner}/{repo}/labels/{name}", 200, schema.Label},
	{"GET /repos/{owner}/{repo}/milestones", 200, schema.Milestone},
	{"POST /repos/{owner}/{repo}/milestones", 201, schema.Milestone},
	{"GET /repos/{owner}/{repo}/milestones/{milestone_number}", 200, schema.Milestone},
	{"PATCH /repos/{owner}/{repo}/milestones/{milestone_number}", 200, schema.Milestone},
	{"GET /repos/{owner}/{repo}/issues", 200, schema.Issue},
	{"POST /repos/{owner}/{repo}/issues", 201, schema.Issue},
	{"GET /repos/{owner}/{repo}/issues/{issue_number}", 200, schema.Issue},
	{"PATCH /repos/{owner}/{repo}/issues/{issue_number}", 200, schema.Issue},
	{"GET /repos/{owner}/{repo}/issues/comments", 200, schema.IssueComment},
	{"GET /repos/{owner}/{repo}/issues/{issue_number}/comments", 200, schema.IssueComment},
	{"POST /repos/{owner}/{repo}/issues/{issue_number}/comments", 201, schema.IssueComment},
	{"GET /repos/{owner}/{repo}/issues/comments/{comment_id}", 200, schema.IssueComment},
	{"PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}", 200, schema.IssueComment},
}

func response(t *testing.T, operation string, status int) *contract.Response {
	t.Helper()
	r, err := contract.Need(t).Response(operation, status)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// home stores a repository and returns the scope of what is in it.
func home(t *testing.T, pool *pgxpool.Pool) schema.Scope {
	t.Helper()
	list, err := response(t, "GET /repos/{owner}/{repo}", 200).Examples()
	if err != nil || len(list) == 0 {
		t.Fatalf("no example of a repository: %v", err)
	}
	// Under an id of its own: the examples are all about one repository.
	var o map[string]any
	decode(t, list[0], &o)
	raw, err := json.Marshal(j{"id": 1 << 40, "node_id": "R_home", "name": o["name"], "full_name": o["full_name"], "owner": o["owner"], "private": false})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := schema.Repository.Rows(raw, schema.Scope{})
	if err != nil {
		t.Fatal(err)
	}
	store(t, pool, rows, time.Now())
	return schema.Scope{RepositoryID: rows[len(rows)-1].ID()}
}

// stable stores an object, compares the stored row, and requires that the object
// as stored makes the same row again.
func stable(t *testing.T, pool *pgxpool.Pool, table *schema.Table, raw json.RawMessage, scope schema.Scope) error {
	t.Helper()
	rows, err := table.Rows(raw, scope)
	if err != nil {
		return err
	}
	own := rows[len(rows)-1]
	// Newer than whatever is stored: what the rule does with ties is tested elsewhere.
	later := time.Now().Add(time.Minute)
	if r := store(t, pool, rows, later); len(r.Deferred) > 0 {
		return fmt.Errorf("%d rows were put off, one of %s", len(r.Deferred), r.Deferred[0].Table.Name)
	}
	var stored map[string]any
	var payload json.RawMessage
	name := pgx.Identifier{schema.Name, table.Name}.Sanitize()
	if err := pool.QueryRow(t.Context(), `SELECT to_jsonb(m), m.payload FROM `+name+` m WHERE id = $1`, own.ID()).Scan(&stored, &payload); err != nil {
		return fmt.Errorf("reading it back: %w", err)
	}
	err = pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return holds(t.Context(), tx, own, stored) })
	if err != nil {
		return err
	}
	again, err := table.Rows(payload, scope)
	if err != nil {
		return fmt.Errorf("decoding what was stored: %w", err)
	}
	if r := store(t, pool, again, later); r.Changed > 0 || len(r.Deferred) > 0 {
		return fmt.Errorf("storing what was stored changed %d rows and put off %d", r.Changed, len(r.Deferred))
	}
	return nil
}

// TestDocumentedExamples stores every example of an answer that GitHub's
// description holds.
func TestDocumentedExamples(t *testing.T) {
	t.Parallel()
	contract.Need(t)
	pool := database(t)
	seen := 0
	for _, a := range answers {
		list, err := response(t, a.operation, a.status).Examples()
		if err != nil {
			t.Fatal(err)
		}
		// The examples of all operations are one object in several states.
		if _, err := pool.Exec(t.Context(), `TRUNCATE github.account CASCADE`); err != nil {
			t.Fatal(err)
		}
		scope := home(t, pool)
		for _, raw := range list {
			err := stable(t, pool, a.table, raw, scope)
			if errors.Is(err, schema.ErrPullRequest) {
				continue
			}
			seen++
			if err != nil {
				t.Errorf("%s: %v", a.operation, err)
			}
		}
	}
	fmt.Printf("contract: %d documented example objects of %d operations became rows\n", seen, len(answers))
}

// TestGeneratedObjects makes objects that GitHub's schemas admit and requires
// that they are stored as they are.
func TestGeneratedObjects(t *testing.T) {
	t.Parallel()
	contract.Need(t)
	pool := database(t)
	scope := home(t, pool)
	seed := uint64(time.Now().UnixNano())
	fmt.Printf("contract: generated objects of seed %d\n", seed)
	made := 0
	for k, a := range answers {
		r := response(t, a.operation, a.status)
		random := rand.New(rand.NewPCG(seed, uint64(k)))
		for n := range objectsEach {
			next := 1<<33 + int64(k)<<24 + int64(n)<<12
			o := r.Generate(random, func(path string) (any, bool) {
				next++
				switch {
				case path == ".body" && n%4 == 0:
					return strings.Repeat("😀", 65_536), true // the longest that GitHub takes, of the widest characters
				case path == ".user_view_type":
					return "private", true // of the two views, the richer one is made
				case path == ".issue_url":
					return fmt.Sprintf("https://api.github.com/repos/o/r/issues/%d", next), true
				case strings.HasSuffix(path, ".id"), strings.HasSuffix(path, ".number"):
					return next, true
				case strings.HasSuffix(path, ".labels[].name"), a.table == schema.Label && path == ".name":
					return fmt.Sprintf("label %d 😀", next), true
				case strings.HasSuffix(path, ".labels[].node_id"), strings.HasSuffix(path, ".labels[].color"):
					return "d73a4a", true // the schema of an issue's labels requires nothing; real ones are whole
				case strings.HasSuffix(path, ".login"):
					return fmt.Sprintf("login-%d", next), true
				}
				return nil, false
			})
			if m := o.(map[string]any); a.table == schema.Issue {
				delete(m, "pull_request")
			}
			raw, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			var plain any
			decode(t, raw, &plain)
			if err := r.Check(plain); err != nil {
				t.Fatalf("seed %d: what was made does not fit %s: %.600s", seed, a.operation, err)
			}
			if err := stable(t, pool, a.table, raw, scope); err != nil {
				t.Errorf("seed %d, %s, object %d: %.1000s\n%.1000s", seed, a.operation, n, err, raw)
				continue
			}
			made++
		}
	}
	fmt.Printf("contract: %d generated objects of %d operations became rows and stayed the same\n", made, len(answers))
}

// objectsEach is how many objects are made for one operation.
const objectsEach = 8

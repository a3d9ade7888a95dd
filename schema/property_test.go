package schema_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/schema"
)

// TestRandomRowsReadBackEqual makes objects of every table whose fields are random, null or missing, stores them twice (as
// new rows and over what the first round left), and requires every known column to read back as decoded, and every
// unknown one to keep what it had.
func TestRandomRowsReadBackEqual(t *testing.T) {
	t.Parallel()
	_, pool, _ := mirror(t)
	hubot := userObject(21, "hubot")
	upsert(t, pool, rowsOf(t, schema.Milestone, milestoneObject(31, hubot), one)...)
	upsert(t, pool, rowsOf(t, schema.Issue, issueObject(1, 1, octocat), one)...)
	base := map[*schema.Table]func(id int64) object{
		schema.Account:    func(id int64) object { return userObject(id, fmt.Sprintf("user%d", id)) },
		schema.Repository: func(id int64) object { return repositoryObject(id, octocat, "r") },
		schema.Label:      func(id int64) object { return labelObject(id, fmt.Sprintf("label%d", id)) },
		schema.Milestone:  func(id int64) object { return milestoneObject(id, hubot) },
		schema.Issue: func(id int64) object {
			return issueObject(id, id-1<<40+1000, hubot).with(object{"milestone": milestoneObject(31, hubot)})
		},
		schema.IssueComment: func(id int64) object { return commentObject(id, 1, hubot) },
	}
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 2))
		for _, table := range schema.Tables {
			wanted := map[int64]map[string]any{}
			for round := range 2 {
				var rows []schema.Row
				for n := range int64(12) {
					id := 1<<40 + int64(seed)*100 + n + 1
					row, err := table.Decode(randomize(random, table, base[table](id), at(100+round)).raw(t), one)
					if err != nil {
						t.Fatal(err)
					}
					rows = append(rows, row)
					if wanted[id] == nil {
						wanted[id] = map[string]any{}
					}
					for i, c := range table.Columns {
						if row.Known(c.Name) && c.Name != "synced_at" && c.Name != "payload" {
							wanted[id][c.Name] = row.Values[i]
						}
					}
				}
				if r := upsert(t, pool, rows...); r.Changed != int64(len(rows)) {
					t.Fatalf("seed %d, %s, round %d: changed %d of %d, deferred %d", seed, table.Name, round, r.Changed, len(rows), len(r.Deferred))
				}
				for id, columns := range wanted {
					compareStored(t, pool, table, id, columns)
				}
			}
		}
	}
}

func compareStored(t *testing.T, pool interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, table *schema.Table, id int64, columns map[string]any) {
	t.Helper()
	var tests []string
	args := []any{id}
	for name, value := range columns {
		args = append(args, value)
		tests = append(tests, fmt.Sprintf("CASE WHEN %s IS DISTINCT FROM $%d::%s THEN ' %s' ELSE '' END", pgx.Identifier{name}.Sanitize(), len(args), table.Column(name).Type, name))
	}
	var differing string
	sql := fmt.Sprintf("SELECT %s FROM github.%s WHERE id = $1", strings.Join(tests, " || "), table.Name)
	if err := pool.QueryRow(testContext(t), sql, args...).Scan(&differing); err != nil {
		t.Fatal(err)
	}
	if differing != "" {
		t.Errorf("%s %d:%s differ from what was decoded", table.Name, id, differing)
	}
}

// randomize gives every plainly copied field of an object that is not an id or a reference a random value, null, or none.
func randomize(random *rand.Rand, table *schema.Table, o object, updated string) object {
	o = o.with(nil)
	for _, c := range table.Columns {
		_, inBase := o[c.Path]
		if c.Path == "" || strings.Contains(c.Path, ".") || c.References != "" || c.Name != c.Path ||
			c.Name == "id" || c.Name == "node_id" || c.Name == "number" || c.Name == "labels" || c.Name == "assignees" || c.Name == "issue_url" {
			continue
		}
		switch {
		case c.Name == "updated_at":
			o[c.Path] = updated
		case !c.NotNull && random.IntN(6) == 0:
			o[c.Path] = nil
		case !c.NotNull && random.IntN(6) == 0:
			delete(o, c.Path)
		case c.NotNull && inBase && c.Type != "text":
			// as it is
		default:
			o[c.Path] = randomValue(random, c.Type)
		}
	}
	return o
}

func randomValue(random *rand.Rand, typ string) any {
	words := []string{"", "plain", "tab\tline\nreturn\r", `quote ' " \ \u0000 \N`, "NUL \x00", "emoji 😀 e\u0301", "NULL", "{a,b}", strings.Repeat("x€", 3000)}
	switch typ {
	case "text":
		return words[random.IntN(len(words))]
	case "text[]":
		list := make([]string, random.IntN(4))
		for i := range list {
			list[i] = words[random.IntN(len(words))]
		}
		return list
	case "bigint":
		return random.Int64() - random.Int64()
	case "boolean":
		return random.IntN(2) == 0
	case "timestamp with time zone":
		return time.Unix(random.Int64N(1<<33), 0).UTC().Format(time.RFC3339)
	}
	return object{words[random.IntN(len(words))]: []any{random.Int64(), nil, true, words[random.IntN(len(words))], object{"n": 0.5}}}
}

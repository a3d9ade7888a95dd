package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pghub/pghub/sqlparse"
)

// classifyTime is how long each classification is repeated in a round.
const classifyTime = 100 * time.Millisecond

// benchClassify times what the proxy asks of each statement's text.
func benchClassify(ctx context.Context, p plan, out io.Writer) error {
	c := sqlparse.New(sqlparse.Config{})
	uncached := sqlparse.New(sqlparse.Config{MaxCacheBytes: -1})
	for _, x := range []*sqlparse.Classifier{c, uncached} {
		x.SetWatched([]string{"issue", "issue_label", "issue_assignee"})
	}
	const update = "UPDATE issue SET state = 'closed', state_reason = 'completed' WHERE repository_id = 1 AND number = 12 RETURNING id"
	values := strings.Repeat(", (1, 'another')", 999)
	type work struct {
		name, sql string
		do        func(sql []byte) error
	}
	scan := func(sql []byte) error { c.MayWrite(sql); return nil }
	parse := func(c *sqlparse.Classifier) func([]byte) error {
		return func(sql []byte) error { _, err := c.ParseBytes(sql); return err }
	}
	works := []work{
		{"a read of another table: scan", "SELECT abalance FROM pgbench_accounts WHERE aid = 4711;", scan},
		{"a read of a mirrored table: scan", "SELECT id, number, title, body FROM issue WHERE repository_id = $1 AND state = 'open' ORDER BY updated_at DESC LIMIT 50", scan},
		{"a read with a megabyte of text: scan", "SELECT '" + strings.Repeat("some words of text, ", 50_000) + "'", scan},
		{"a write: scan and cached result", update, func(sql []byte) error { c.MayWrite(sql); return parse(c)(sql) }},
		{"a write seen for the first time: parse", update, parse(uncached)},
		{"INSERT of 1,000 rows, first time: parse", "INSERT INTO issue (repository_id, title) VALUES (1, 'a title')" + values, parse(uncached)},
		{"INSERT of a megabyte of text, first time: parse", "INSERT INTO issue (repository_id, body) VALUES (1, '" + strings.Repeat("some words of text, ", 50_000) + "')", parse(uncached)},
	}
	took := make([][]float64, len(works))
	for range p.rounds {
		for i, w := range works {
			ns, err := repeat(ctx, classifyTime, []byte(w.sql), w.do)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			took[i] = append(took[i], ns)
		}
	}
	tab := table{title: "Classification of statements", head: []string{"statement", "bytes", "CPU µs", "ns per 100 bytes"},
		notes: []string{"Every statement is scanned; only one with a writing keyword and the name of a mirrored table is looked up in the cache or parsed."}}
	for i, w := range works {
		ns := median(took[i])
		tab.add(w.name, number(float64(len(w.sql)), 0), number(ns/1000, 3), number(ns/float64(len(w.sql))*100, 1))
	}
	return tab.write(out)
}

// repeat calls do for about so long and returns the mean in nanoseconds of processor time, which a neighbour's load
// changes less than the clock's.
func repeat(ctx context.Context, long time.Duration, sql []byte, do func([]byte) error) (float64, error) {
	calls := 0
	began := time.Now()
	used, err := ownCPU()
	if err != nil {
		return 0, err
	}
	for batch := 1; ; batch *= 2 {
		for range batch {
			if err := do(sql); err != nil {
				return 0, err
			}
		}
		calls += batch
		if time.Since(began) > long || ctx.Err() != nil {
			after, err := ownCPU()
			return float64(after-used) / float64(calls), errors.Join(err, ctx.Err())
		}
	}
}

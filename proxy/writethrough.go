package proxy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/ledger"
	"github.com/pghub/pghub/sqlparse"
	"github.com/pghub/pghub/writers"
)

const (
	planSavepoint = "pghub_plan"
	// defaultMaxRows is how many rows one statement may change when the client
	// has not set pghub.max_rows: an UPDATE without WHERE must not close every issue.
	defaultMaxRows = 100
	// planAttempts is how often a statement is planned anew because somebody
	// else changed its rows in between.
	planAttempts = 3
	// settingsPerQuery keeps the queries that hand over answers below the
	// server's limit of 1664 columns.
	settingsPerQuery = 500
)

// lane runs an intercepted statement in the protocol it came in. After a
// failed result the client has had its error and the transaction is aborted.
type lane interface {
	// queries runs hidden queries inside the client's transaction, in one round
	// trip. After one that fails the others are not run.
	queries(qs ...string) ([]reply, error)
	// plan opens a transaction block if there is none, sets a savepoint, runs
	// the setup query and then the statement, and collects what the trigger
	// reports. The second column that setup selects is pghub.max_rows.
	plan(setup string, rows *plannedRows) (failed bool, err error)
	// plain runs the statement for the client, unchanged.
	plain() (failed bool, err error)
	// apply runs the setup queries, the statement for the client, and finish.
	// The client sees success only if finish succeeds.
	apply(setup []string, finish string) (failed bool, err error)
	// fail makes the server raise an error.
	fail(r *refused) error
}

// writeThrough carries one statement out: plan, GitHub, apply. An error means
// that the session is over.
func (s *session) writeThrough(ctx context.Context, l lane, st sqlparse.Statement) error {
	ours, failed, err := s.mayBeOurs(l, st)
	if err != nil || failed {
		return err
	}
	if !ours {
		_, err := l.plain()
		return err
	}
	for attempt := 1; ; attempt++ {
		token := nonce()
		rows := &plannedRows{signer: &s.p.signer, nonce: token, limit: defaultMaxRows}
		failed, err := l.plan("SELECT pg_catalog.set_config('pghub.mode', '"+s.p.signer.planMode(token, s.pid())+"', true), "+
			"pg_catalog.current_setting('pghub.max_rows', true)", rows)
		if err != nil || failed {
			return err
		}
		if rows.count == 0 {
			return s.applyNothing(l)
		}
		if rows.count > rows.limit {
			return l.fail(refusal("54000", fmt.Sprintf("this statement would change %d rows on GitHub, more than the limit of %d", rows.count, rows.limit)).
				detail("Nothing was sent to GitHub.").
				hint("Narrow the WHERE clause, or raise the limit for this session: SET pghub.max_rows = " + strconv.Itoa(rows.count) + ";"))
		}
		if rows.err != nil {
			return l.fail(rows.err)
		}
		planned := make([]*writers.Planned, len(rows.changes))
		for i, c := range rows.changes {
			if planned[i], err = s.p.cfg.Writer.Check(ctx, c.Change); err != nil {
				return l.fail(asRefused(err))
			}
		}
		tx, changed, failed, err := s.lock(l, rows.changes)
		if err != nil || failed {
			return err
		}
		if changed {
			if attempt < planAttempts {
				continue
			}
			return l.fail(refusal("40001", "the rows to change were changed by others again and again").hint("Run the transaction again."))
		}
		return s.carryOut(ctx, l, st, rows.changes, planned, tx)
	}
}

// applyNothing runs a statement that plans no change at GitHub. It runs in
// apply mode, without any answer, because an INSERT may name a row that exists
// and leave it to ON CONFLICT DO NOTHING; a row to be changed after all fails.
func (s *session) applyNothing(l lane) error {
	tx, _, failed, err := s.lock(l, nil)
	if err != nil || failed {
		return err
	}
	setup, err := s.answerSettings(nil, nil, tx.xid)
	if err != nil {
		return err
	}
	_, err = l.apply(setup, finishApply(0, tx))
	return err
}

// finishApply is the query that ends apply mode; it fails unless each of the
// answers was used.
func finishApply(answers int, tx transaction) string {
	return fmt.Sprintf("SELECT pghub.finish_apply(%d, %s)", answers, literal(tx.idleTimeout))
}

// mayBeOurs asks the server whether one of the statement's targets is, under
// the client's search_path, a watched relation; a table of the user's own that
// shares a name must not be written twice.
func (s *session) mayBeOurs(l lane, st sqlparse.Statement) (ours, failed bool, err error) {
	if len(st.Targets) == 0 {
		return true, false, nil
	}
	var names []string
	for _, t := range st.Targets {
		name := pgx.Identifier{t.Name}
		if t.Schema != "" {
			name = pgx.Identifier{t.Schema, t.Name}
		}
		names = append(names, "pg_catalog.to_regclass("+literal(name.Sanitize())+")")
	}
	replies, err := l.queries("SELECT pg_catalog.count(*) FROM (VALUES (" + strings.Join(names, "), (") + ")) AS t(oid) WHERE t.oid::pg_catalog.oid " +
		"OPERATOR(pg_catalog.=) ANY ('{" + s.p.watched.oidList() + "}'::pg_catalog.oid[])")
	if err != nil {
		return false, false, err
	}
	if e := replies[0].err; e != nil {
		s.failLane(l, e)
		return false, true, nil
	}
	return len(replies[0].row) != 1 || string(replies[0].row[0]) != "0", false, nil
}

// transaction is what the ledger wants to know of the client's transaction.
type transaction struct {
	xid, role, application string
	idleTimeout            string // the client's idle_in_transaction_session_timeout
	pid                    int32
}

// lock ends the plan, locks the planned rows and sees whether they are still
// what was planned.
func (s *session) lock(l lane, changes []change) (tx transaction, changed, failed bool, err error) {
	// What the plan did is undone, its settings included.
	queries := []string{"ROLLBACK TO SAVEPOINT " + planSavepoint, "RELEASE SAVEPOINT " + planSavepoint}
	if len(changes) == 0 {
		queries = append(queries, "SELECT pg_catalog.pg_current_xact_id()")
	}
	prepared := len(queries)
	byTable := map[string][]change{}
	for _, c := range changes {
		byTable[c.Table] = append(byTable[c.Table], c)
	}
	for _, table := range slices.Sorted(maps.Keys(byTable)) { // one order for all sessions
		var ids, digests []string
		for _, c := range byTable[table] {
			if c.Op != "insert" {
				ids = append(ids, strconv.FormatInt(c.id, 10))
				digests = append(digests, c.Digest)
			}
		}
		queries = append(queries, fmt.Sprintf("SELECT pg_catalog.cardinality(changed), xid, pid, role, application, idle_timeout FROM pghub.lock_planned(%s, '{%s}', '{%s}')",
			literal(table), strings.Join(ids, ","), strings.Join(digests, ",")))
	}
	replies, err := l.queries(queries...)
	if err != nil {
		return tx, false, false, err
	}
	for i, r := range replies {
		if r.err != nil {
			r.err.Where = ""
			s.failLane(l, r.err)
			return tx, false, true, nil
		}
		if i < prepared {
			if len(r.row) == 1 {
				tx.xid = string(r.row[0])
			}
			continue
		}
		if len(r.row) != 6 {
			return tx, false, false, errServerGone
		}
		pid, _ := strconv.ParseInt(string(r.row[2]), 10, 32)
		idle := tx.idleTimeout
		if i == prepared { // the next table's call finds it switched off
			idle = string(r.row[5])
		}
		tx = transaction{idleTimeout: idle, xid: string(r.row[1]), pid: int32(pid), role: string(r.row[3]), application: string(r.row[4])}
		if r.row[0] != nil && string(r.row[0]) != "0" {
			changed = true
		}
	}
	return tx, changed, false, nil
}

// failLane tells the client of an error that the server raised on a hidden query.
func (s *session) failLane(l lane, e *serverError) {
	if sl, ok := l.(*simpleLane); ok {
		sl.run.failed = true
	}
	s.tellError(e, 0)
}

// carryOut takes planned and locked changes to GitHub, and GitHub's answers to
// the client's transaction.
func (s *session) carryOut(ctx context.Context, l lane, st sqlparse.Statement, changes []change, planned []*writers.Planned, tx transaction) error {
	// Rows that do not change need no request and no entry.
	var sent []int
	var entries []ledger.Change
	for i, p := range planned {
		if p.NoOp {
			continue
		}
		sent = append(sent, i)
		entries = append(entries, ledger.Change{
			Table: p.Table, Op: string(p.Op), RepositoryID: p.RepositoryID, RowID: p.ID, Number: p.Number, Columns: p.Values(),
		})
	}
	answers := make([]writers.Result, len(planned))
	if len(sent) > 0 {
		ids, err := s.intent(ctx, st, tx, entries)
		if err != nil {
			s.p.log.Error("a write was refused because its intent could not be recorded", "error", err)
			return l.fail(refusal("58000", "pghub could not record the intent to write, so nothing was sent to GitHub").hint("See pghub's log."))
		}
		s.p.markBusy(ids)
		done, r := s.ask(ctx, sent, planned, answers, ids)
		s.pending = append(s.pending, done...)
		s.p.unmarkBusy(ids[len(done):])
		if r != nil {
			return l.fail(r)
		}
	}
	setup, err := s.answerSettings(changes, answers, tx.xid)
	if err != nil {
		return l.fail(refusal("XX000", "GitHub's answer could not be stored: "+err.Error()))
	}
	_, err = l.apply(setup, finishApply(len(changes), tx))
	return err
}
